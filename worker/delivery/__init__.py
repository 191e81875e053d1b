"""The loop that gets jobs from the stream to Customer.io, and its parts."""
