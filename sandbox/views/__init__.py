"""What the sandbox shows of itself, and how it is told to misbehave, below /_sandbox."""
