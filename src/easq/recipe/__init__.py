"""What a user may write: settings, their types, reading and checking."""
