"""``trackrelay status``: the state of delivery, for people and for health checks."""
