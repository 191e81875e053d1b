"""Operations: what you can tell Customer.io.

Each function makes one checked operation, or several, and enqueues nothing: see
:func:`trackrelay.enqueue` and :func:`trackrelay.enqueue_many`.
"""

from . import event_builders, object_builders, person_builders
from .event_builders import *  # noqa: F403
from .object_builders import *  # noqa: F403
from .person_builders import *  # noqa: F403

__all__: list[str] = []
__all__ += event_builders.__all__
__all__ += object_builders.__all__
__all__ += person_builders.__all__
