"""A workspace in memory: who and what Customer.io would know after the operations it was told."""
