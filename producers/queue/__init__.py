"""The queue in Redis as an application sees it: jobs, entries, connections."""
