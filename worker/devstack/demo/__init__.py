"""A small shop's traffic, an outage in the middle of it, and a check that nothing was lost, sent twice or out of order."""
