"""A small shop in Flask that sends what happens in it to Customer.io."""
