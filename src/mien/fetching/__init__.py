"""Fetching images from the web and from object stores, into folders or one at a time."""
