"""Progressive validation of a replayed log, and its metrics."""
