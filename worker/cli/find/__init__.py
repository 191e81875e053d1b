"""``trackrelay find``: where a job, or a person's jobs, are now, and what happened to them."""
