"""A split Dataset -> a classifier, by one of three methods."""
