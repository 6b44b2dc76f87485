"""Layouts: how a folder, a table or file names determine the class and split of each image."""
