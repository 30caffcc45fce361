"""Bench of methods x worlds x seeds: run them, store their rows, and report."""
