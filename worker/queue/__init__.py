"""The queue in Redis, for workers and commands."""
