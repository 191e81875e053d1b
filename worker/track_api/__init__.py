"""The Track API: requests, responses, and what a response means."""
