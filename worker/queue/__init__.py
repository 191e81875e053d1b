"""The queue in Redis as workers and commands see it."""
