"""The commands that need several packages, such as train and compare. Read train.py first."""
