"""Turn a folder of photos into a Dataset: scanned, cleaned, and split without leaks."""
