"""Misbehaviour on demand: what goes wrong, for which requests, how often."""
