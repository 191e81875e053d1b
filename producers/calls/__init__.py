"""What a call does: its producer, its backend, and what happens when it is refused."""
