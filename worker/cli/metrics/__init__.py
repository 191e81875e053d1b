"""Metrics for Prometheus, and whether this installation is healthy."""
