"""A Customer.io Track API and App API in memory, to develop and test against.

It is an independent reading of Customer.io's published description. It shares no code with the
rest of trackrelay, so that an error in one is not repeated in the other.
"""

if __name__ == "sandbox":
    # In a clone, `python -m sandbox` and `from sandbox import …` import the folder by its own name.
    from trackrelay.folder_names import use_package

    use_package(__name__)

from .client import SandboxClient
from .sandbox_process import SandboxProcess

__all__ = ["SandboxClient", "SandboxProcess"]
