"""A ranking engine that aligns with what viewers say, not only with what they do."""

__version__ = "0.1.0"
