"""HTTP: messages, authentication, limits, formats and errors."""
