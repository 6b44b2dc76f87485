"""A web page for correcting labels and watching the classifier improve."""
