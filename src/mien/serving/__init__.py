"""A classifier over HTTP, with a web page."""
