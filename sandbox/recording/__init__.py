"""What the sandbox remembers of its traffic: requests, what took effect, and counts."""
