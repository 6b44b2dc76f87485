"""A run: its folder, the files in it, and its report."""
