"""What every room stands on: files, images, text, scores, threads."""
