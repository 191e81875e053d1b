"""What keeps the queue running besides delivery: ticks, heartbeats, retention, recovery."""
