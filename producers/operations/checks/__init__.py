"""The checks of each type of operation; :mod:`trackrelay.operations.validation` applies them."""
