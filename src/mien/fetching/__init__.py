"""Photos from the web: into class folders, or one at a time."""
