"""Where events live: append-only, partitioned by viewer, durable before it answers."""
