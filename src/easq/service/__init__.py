"""The HTTP service: thin routes between a platform, the event log and the ranker."""
