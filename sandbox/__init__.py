"""A Customer.io Track API and App API in memory, to develop and test against.

An independent reading of Customer.io's published description: it shares no code with what sends to it.
"""

from .client import SandboxClient
from .process import SandboxProcess

__all__ = ["SandboxClient", "SandboxProcess"]
