"""Join what was shown, done and said; train online; keep the state."""
