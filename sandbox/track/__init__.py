"""The Track API: what a request says, whether Customer.io would take it, and how it would answer."""
