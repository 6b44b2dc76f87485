"""Layouts: how a folder, a table or the names of files say which image is of which class, and in which split."""
