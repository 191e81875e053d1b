"""Whether the data is right, and whether it arrived."""
