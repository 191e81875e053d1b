"""The control endpoints and the page below /_sandbox."""
