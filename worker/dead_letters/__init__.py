"""Repair, replay and discard dead letters."""
