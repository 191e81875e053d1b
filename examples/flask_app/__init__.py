"""A small shop in Flask that tells Customer.io what happens in it."""
