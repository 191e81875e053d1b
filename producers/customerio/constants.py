"""The kinds of identifier that a merge takes."""

ID = "id"
EMAIL = "email"
CIOID = "cio_id"
