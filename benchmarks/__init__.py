"""How fast, beside what people would write themselves: ``make bench``."""
