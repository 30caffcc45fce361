"""Real logs in their own formats, turned into events."""
