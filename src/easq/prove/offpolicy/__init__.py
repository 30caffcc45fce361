"""Off-policy estimates from randomised rankings."""
