"""Calls: the producer, its backends, and what happens to refused operations."""
