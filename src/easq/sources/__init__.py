"""Where events come from when nobody is live: the simulated world and public data sets."""
