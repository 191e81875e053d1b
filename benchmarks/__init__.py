"""Benchmarks of trackrelay and of what people write without it: ``make bench``."""
