"""The kinds of identifiers that a merge accepts."""

ID = "id"
EMAIL = "email"
CIOID = "cio_id"
