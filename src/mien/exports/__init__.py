"""Exports for use without mien: an offline web page, or a file for another runtime with the same predictions."""
