"""Classifiers for places without mien: a page that needs no server."""
