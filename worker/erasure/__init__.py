"""Erases what the stores have of a person, and blocks what comes later: ``trackrelay forget``."""
