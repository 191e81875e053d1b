"""Dead letters on the command line: list, show, repair, replay, discard, export."""
