"""Alerts: notice what is wrong, and tell somebody, once."""
