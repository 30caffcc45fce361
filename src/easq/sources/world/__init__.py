"""A simulated platform whose viewers have a known satisfaction."""
