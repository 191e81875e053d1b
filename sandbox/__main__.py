"""`python -m sandbox` runs a sandbox."""

from .cli import sandbox

if __name__ == "__main__":
    sandbox(prog_name="sandbox")
