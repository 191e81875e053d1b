"""The demo: a shop's traffic, an outage, and a check that every job arrived once and in order."""
