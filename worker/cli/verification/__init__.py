"""``trackrelay verify``: compare now, and the verdicts there are."""
