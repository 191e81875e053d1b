"""What Customer.io takes, one module a kind of operation; the gate they stand in is :mod:`trackrelay.operations.validation`."""
