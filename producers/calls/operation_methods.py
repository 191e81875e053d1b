"""The functions of :mod:`trackrelay.operations` as methods, for whatever takes operations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec

from trackrelay import operations
from trackrelay.calls.invalid_calls import InvalidCallPolicy
from trackrelay.errors import InvalidOperationError
from trackrelay.operations.operation import Operation

P = ParamSpec("P")


def _taken(make: Callable[P, Operation]) -> Callable[Concatenate[OperationMethods, P], str]:
    @functools.wraps(make)
    def method(self: OperationMethods, /, *args: P.args, **kwargs: P.kwargs) -> str:
        try:
            operation = make(*args, **kwargs)
        except InvalidOperationError as error:
            return self._submit_instead(error, make, args, kwargs)[-1]
        return self._submit((operation,))[0]

    return method


def _all_taken(
    make: Callable[P, Sequence[Operation]],
) -> Callable[Concatenate[OperationMethods, P], list[str]]:
    @functools.wraps(make)
    def method(self: OperationMethods, /, *args: P.args, **kwargs: P.kwargs) -> list[str]:
        try:
            batch = make(*args, **kwargs)
        except InvalidOperationError as error:
            return self._submit_instead(error, make, args, kwargs)
        return self._submit(batch)

    return method


class OperationMethods:
    """Has a method for every operation; each makes it, hands it to :meth:`_submit` and returns its job's id (or ids)."""

    #: What becomes of refused calls.
    invalid_calls = InvalidCallPolicy()

    def _submit(self, batch: Sequence[Operation]) -> list[str]:
        """Take operations; returns their jobs' ids."""
        raise NotImplementedError

    def _submit_instead(
        self,
        error: InvalidOperationError,
        make: Callable[..., Any],
        arguments: Sequence[object],
        named: Mapping[str, object],
    ) -> list[str]:
        """Take what ``on_invalid`` leaves of the refused call of ``make``; returns the ids of all of it.

        Raises:
            InvalidOperationError: ``error``, if that is what it says.
        """
        parts = self.invalid_calls.replacements_for_call(error, make, arguments, named)
        if kept := [part for part in parts if isinstance(part, Operation)]:
            self._submit(kept)
        return [part.id for part in parts]

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
