"""The pages of the console: one module each, and its templates."""
