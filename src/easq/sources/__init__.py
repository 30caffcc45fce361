"""Sources of events without live viewers: the simulated world and public data sets."""
