"""Periodic work besides delivery: ticks, heartbeats, retention."""
