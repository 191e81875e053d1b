"""``trackrelay import``: make jobs of a file's lines. A second run sends nothing twice."""
