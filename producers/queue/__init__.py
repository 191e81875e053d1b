"""The queue in Redis, for applications: jobs, entries, connections."""
