"""Predictions -> scores with intervals, and what they mean."""
