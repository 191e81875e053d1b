"""Settings of applications, and where they come from."""
