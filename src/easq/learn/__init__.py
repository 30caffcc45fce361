"""Train online from the event log: steps, checkpoints, publishing, and repeating all of it exactly."""
