"""Settings of applications and workers: their declaration, and where they come from."""
