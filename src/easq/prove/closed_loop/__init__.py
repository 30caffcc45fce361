"""The closed loop: a live system, and simulated viewers who live some weeks with it."""
