"""Operating trackrelay: command line, status, the local stack."""
