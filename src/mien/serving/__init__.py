"""A classifier behind HTTP, and a page for people."""
