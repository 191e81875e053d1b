"""What workers and commands write: log lines, and text made safe for a terminal."""
