"""Try out: run an imitation of Customer.io's Track API and App API in memory."""

from trackrelay.sandbox.cli import sandbox

__all__ = ["sandbox"]
