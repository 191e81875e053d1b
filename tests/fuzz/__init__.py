"""Random entries, answers and calls: whatever comes from outside, nothing halts and nothing raises but our own errors."""
