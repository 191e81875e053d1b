"""The vocabulary as methods: one for each builder of :mod:`trackrelay.operations`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec

from trackrelay import operations
from trackrelay.errors import InvalidOperationError
from trackrelay.operations.operation import Operation

from .invalid_calls import InvalidCallPolicy

P = ParamSpec("P")

JOB_ID = "The id of the job (a ULID), which the logs and ``trackrelay find`` know."
JOB_IDS = "The ids of the jobs (ULIDs), one for each person."
_ENDS = """Returns:
    {returns}

Raises:
    InvalidOperationError: Customer.io would refuse it, and ``on_invalid`` is ``raise``.
    QueueUnavailableError: the queue did not confirm it, and ``on_unavailable`` is ``raise``.
    QueueFullError: the queue has no room, and ``on_unavailable`` is ``raise``."""


def present(call: Callable[..., Any], build: Callable[..., Any], type: str, returns: str) -> None:
    """Give ``call`` the name, the parameters and the docstring of a builder.

    Args:
        call: enqueues what ``build`` makes.
        build: a function of :mod:`trackrelay.operations`.
        type: the type that ``call`` returns.
        returns: the sentence that describes the returned value.
    """
    functools.update_wrapper(call, build)
    beginning = inspect.cleandoc(build.__doc__ or "").partition("Returns:")[0]
    call.__doc__ = beginning + _ENDS.format(returns=returns)
    call.__annotations__ = {**build.__annotations__, "return": type}
    del call.__wrapped__  # type: ignore[attr-defined]
    parameters = list(inspect.signature(build).parameters.values())
    if next(iter(inspect.signature(call).parameters), "") == "self":
        parameters.insert(0, inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY))
    call.__signature__ = inspect.Signature(parameters, return_annotation=type)  # type: ignore[attr-defined]


def _one(build: Callable[P, Operation]) -> Callable[Concatenate[OperationMethods, P], str]:
    def method(self: OperationMethods, /, *args: P.args, **kwargs: P.kwargs) -> str:
        try:
            operation = build(*args, **kwargs)
        except InvalidOperationError as error:
            return self._submit_instead(error, build, args, kwargs)[-1]
        return self._submit((operation,))[0]

    present(method, build, "str", JOB_ID)
    return method


def _many(
    build: Callable[P, Sequence[Operation]],
) -> Callable[Concatenate[OperationMethods, P], list[str]]:
    def method(self: OperationMethods, /, *args: P.args, **kwargs: P.kwargs) -> list[str]:
        try:
            batch = build(*args, **kwargs)
        except InvalidOperationError as error:
            return self._submit_instead(error, build, args, kwargs)
        return self._submit(batch)

    present(method, build, "list[str]", JOB_IDS)
    return method


class OperationMethods:
    """Has a method for each builder, which submits the operation and returns the job's id."""

    #: Decides what happens to a refused call.
    invalid_calls = InvalidCallPolicy()

    def _submit(self, batch: Sequence[Operation]) -> list[str]:
        """Enqueue, collect or write operations, and return the ids of their jobs."""
        raise NotImplementedError

    def _submit_instead(
        self,
        error: InvalidOperationError,
        build: Callable[..., Any],
        arguments: Sequence[object],
        named: Mapping[str, object],
    ) -> list[str]:
        """Submit what ``on_invalid`` leaves of a refused call, and return the ids of all its parts.

        Raises:
            InvalidOperationError: ``error``, if ``on_invalid`` is ``raise``.
        """
        parts = self.invalid_calls.replacements_for_call(error, build, arguments, named)
        if kept := [part for part in parts if isinstance(part, Operation)]:
            self._submit(kept)
        return [part.id for part in parts]

    # Written by scripts/bindings.py.
    identify = _one(operations.identify)
    track = _one(operations.track)
    page = _one(operations.page)
    screen = _one(operations.screen)
    track_anonymous = _one(operations.track_anonymous)
    delete_person = _one(operations.delete_person)
    suppress = _one(operations.suppress)
    unsuppress = _one(operations.unsuppress)
    merge = _one(operations.merge)
    add_device = _one(operations.add_device)
    delete_device = _one(operations.delete_device)
    identify_object = _one(operations.identify_object)
    delete_object = _one(operations.delete_object)
    add_relationships = _one(operations.add_relationships)
    delete_relationships = _one(operations.delete_relationships)
    add_to_segment = _many(operations.add_to_segment)
    remove_from_segment = _many(operations.remove_from_segment)
    submit_form = _one(operations.submit_form)
    unsubscribe = _one(operations.unsubscribe)
    report_metric = _one(operations.report_metric)
    entity = _one(operations.entity)
