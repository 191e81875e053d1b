"""``trackrelay import``: a file's lines become jobs in the bulk lane; a second run of the same file sends nothing twice."""
