"""The event log: append-only, partitioned by viewer, durable before an append returns."""
