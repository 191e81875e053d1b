"""An application of any release: it calls until SIGTERM, and notes each job that was accepted.

Run by its path, with a release on the import path: so it uses nothing of the tests, and of
trackrelay only what every release has.
"""

import json
import signal
import sys
import time
from types import FrameType

from trackrelay import identify, track

PEOPLE = 10


def main(name: str, first: int, rate: float, journal: str) -> None:
    """Call, one person after the other.

    Args:
        name: of the caller; people's ids begin with it.
        first: the number of its first call.
        rate: calls a second.
        journal: the file for accepted jobs, a line of JSON each (`tests/chaos/calls.py`).
    """
    stopped = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    began, number = time.monotonic(), first
    with open(journal, "ab", buffering=0) as file:
        while not stopped:
            person, mark, at = f"{name}{number % PEOPLE}", f"{name}-{number}", time.time()
            if number // PEOPLE % 3:
                operation, job = "person.event", track(person, "seen", {"n": mark})
            else:
                operation, job = "person.identify", identify(person, {"n": mark})
            call = {
                "id": str(job),
                "operation": operation,
                "keys": [f"id:{person}"],
                "mark": f"n:{mark}",
                "told": "accepted",
                "began": at,
                "ended": time.time(),
            }
            file.write(json.dumps(call).encode() + b"\n")
            number += 1
            time.sleep(max(0.0, began + (number - first) / rate - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
