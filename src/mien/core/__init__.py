"""The foundation of all other packages: files, images, text, scores and threads."""
