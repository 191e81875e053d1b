"""The Track API: reading requests, checking them as Customer.io does, building answers."""
