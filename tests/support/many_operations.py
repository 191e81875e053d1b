"""Many operations, and a thread that enqueues them."""

import contextlib
import threading
from collections.abc import Iterator

from tests.support.waiting import patient
from trackrelay import Operation, Producer, operations


@contextlib.contextmanager
def enqueueing_many(producer: Producer, count: int) -> Iterator[threading.Event]:
    """Enqueues in a thread; gives what is set when it is done."""
    many = (operations.track("42", "seen", {"n": number}) for number in range(count))
    done = threading.Event()
    thread = threading.Thread(target=lambda: (producer.enqueue_many(many), done.set()), daemon=True)
    thread.start()
    yield done
    thread.join(patient(10))


def named(name: str) -> Operation:
    """Return an event of this name."""
    return operations.track("42", name)


def generated(*names: str) -> Iterator[Operation]:
    """Yield events of these names."""
    return (named(name) for name in names)
