"""The commands that need several rooms, such as train and compare: read train.py first."""
