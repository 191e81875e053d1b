"""Tracebacks of drivers. Their frames hold passwords, which debug pages and error trackers show."""

from __future__ import annotations


def without_frames(error: BaseException) -> BaseException:
    """Return ``error`` without its traceback and those of its causes. Types and messages stay."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        each = rest.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            rest += [each.__cause__, each.__context__]
    return error
