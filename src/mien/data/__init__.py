"""A folder of photos -> a Dataset: scanned, cleaned, split, without leaks."""
