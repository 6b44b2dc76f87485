"""What each command does, one screen each: read train.py first."""
