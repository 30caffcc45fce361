"""The one distinction that callers need: what the user can mend, and everything else."""


class InputError(ValueError):
    """What was given cannot be used; the message names it, what was found and what is allowed."""
