"""A run: its folder, its files written and read in one place, its report."""
