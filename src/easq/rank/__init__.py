"""Score a request's candidates with the newest parameters."""
