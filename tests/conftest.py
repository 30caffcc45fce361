"""One profile for all property tests: shared machines are slow at times, which is no failure."""

from hypothesis import settings

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
