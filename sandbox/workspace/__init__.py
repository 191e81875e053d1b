"""A workspace in memory: the people and objects that Customer.io would know."""
