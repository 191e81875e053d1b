"""Dead letters: whether one can be replayed, its repair, its replay."""
