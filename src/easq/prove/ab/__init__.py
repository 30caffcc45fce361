"""A/B tests: metrics from a log, what an arm changed, and what to do about it."""
