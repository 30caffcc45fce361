"""Measure whether viewers are more satisfied, and show it."""
