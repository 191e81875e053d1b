"""``trackrelay status``: what is going on, told to a person at three in the morning or to a health check."""
