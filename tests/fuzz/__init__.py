"""Random entries, answers and calls: nothing halts, and nothing raises but our own errors."""
