"""Statements for commands and the admin. They only read."""
