"""Off-policy estimates from randomized rankings."""
