"""A classifier for places without mien: a page, or a file for another runtime that is proved to answer alike."""
