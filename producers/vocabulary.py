"""The functions of :mod:`producers.operations` as methods, for whatever takes operations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec

from . import operations
from .operation import Operation

P = ParamSpec("P")


def _taken(make: Callable[P, Operation]) -> Callable[Concatenate[Vocabulary, P], str]:
    @functools.wraps(make)
    def method(self: Vocabulary, /, *args: P.args, **kwargs: P.kwargs) -> str:
        return self.take((make(*args, **kwargs),))[0]

    return method


def _all_taken(make: Callable[P, Sequence[Operation]]) -> Callable[Concatenate[Vocabulary, P], list[str]]:
    @functools.wraps(make)
    def method(self: Vocabulary, /, *args: P.args, **kwargs: P.kwargs) -> list[str]:
        return self.take(make(*args, **kwargs))

    return method


class Vocabulary:
    """Has a method for every operation; each makes it, hands it to :meth:`take` and returns its job's id (or ids)."""

    def take(self, batch: Sequence[Operation]) -> list[str]:
        """Take operations; returns their jobs' ids."""
        raise NotImplementedError

    identify = _taken(operations.identify)
    track = _taken(operations.track)
    page = _taken(operations.page)
    screen = _taken(operations.screen)
    track_anonymous = _taken(operations.track_anonymous)
    delete_person = _taken(operations.delete_person)
    suppress = _taken(operations.suppress)
    unsuppress = _taken(operations.unsuppress)
    merge = _taken(operations.merge)
    add_device = _taken(operations.add_device)
    delete_device = _taken(operations.delete_device)
    identify_object = _taken(operations.identify_object)
    delete_object = _taken(operations.delete_object)
    add_relationships = _taken(operations.add_relationships)
    delete_relationships = _taken(operations.delete_relationships)
    add_to_segment = _all_taken(operations.add_to_segment)
    remove_from_segment = _all_taken(operations.remove_from_segment)
    submit_form = _taken(operations.submit_form)
    unsubscribe = _taken(operations.unsubscribe)
    report_metric = _taken(operations.report_metric)
    entity = _taken(operations.entity)
