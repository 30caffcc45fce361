"""The Python API: what `from easq import read_table, fit` brings. Nothing else imports this room."""
