"""A simulated platform with known satisfaction of its viewers."""
