"""Messages in the Celery queue, checked: one that is not ours is dropped with a log line.

Celery expects every message to be well-formed. Another one raises in the worker's main loop and
ends the process, and the next such message ends the next worker.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.queue.append import DELIVER_TASK
from trackrelay.queue.redis_keys import QUEUE

log = structlog.get_logger("trackrelay.worker")

TICK_TASK = "trackrelay.tick"
PRUNE_TASK = "trackrelay.prune"
VERIFY_TASK = "trackrelay.verify"
#: Most characters of a name or an id.
MAX_TEXT = 255


def _no_arguments(arguments: list[Any]) -> bool:
    return not arguments


def _one_shard(arguments: list[Any]) -> bool:
    return len(arguments) == 1 and type(arguments[0]) is int and 0 <= arguments[0] < 2**31


#: Checks each task's positional arguments.
_ARGUMENTS: dict[str, Callable[[list[Any]], bool]] = {
    DELIVER_TASK: _one_shard,
    TICK_TASK: _no_arguments,
    PRUNE_TASK: _no_arguments,
    VERIFY_TASK: _no_arguments,
}


class NotOursError(Exception):
    """The message is not one of ours. The text says why, and quotes only names."""


def checked(message: Any) -> dict[str, Any]:
    """Return a message from the queue without anything that Celery could fail at.

    Raises:
        NotOursError: it does not run one of our tasks.
    """
    if not isinstance(message, dict):
        raise NotOursError(f"it is {type(message).__name__} instead of an object")
    headers, properties = message.get("headers"), message.get("properties")
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        raise NotOursError("it has no headers or no properties")
    task = headers.get("task")
    if not isinstance(task, str) or task not in _ARGUMENTS:
        raise NotOursError(f"its task is {_shown(task)}, which is not ours")
    id, tag, info = (
        headers.get("id"),
        properties.get("delivery_tag"),
        properties.get("delivery_info"),
    )
    if not _is_text(id) or not _is_text(tag):
        raise NotOursError(f"it has no id or no delivery tag; its task is {task}")
    if not isinstance(info, dict) or not all(
        isinstance(info.get(name), str) for name in ("exchange", "routing_key")
    ):
        raise NotOursError(f"it does not say where it was delivered; its task is {task}")
    if (
        message.get("content-type") != "application/json"
        or message.get("content-encoding") != "utf-8"
    ):
        raise NotOursError(f"it is not JSON in UTF-8; its task is {task}")
    _check_body(message.get("body"), properties, task)
    _check_times(headers, task)
    return {**message, "headers": _plain(headers)}


def _check_body(body: Any, properties: Mapping[str, Any], task: str) -> None:
    if not isinstance(body, str) or properties.get("body_encoding") != "base64":
        raise NotOursError(f"it has no body in base64; its task is {task}")
    try:
        content = decode_json(base64.b64decode(body, validate=True))
    except NotJsonError:
        raise NotOursError(f"its body is not JSON; its task is {task}") from None
    except ValueError:
        raise NotOursError(f"its body is not base64; its task is {task}") from None
    match content:
        case [list(arguments), dict(named), dict() | None as embedded]:
            if named or not _ARGUMENTS[task](arguments) or any((embedded or {}).values()):
                raise NotOursError(f"its arguments are not those of {task}")
        case _:
            raise NotOursError(f"its body is not a list of arguments; its task is {task}")


def _check_times(headers: Mapping[str, Any], task: str) -> None:
    # Our tasks run at once, and only Beat's expire.
    if headers.get("eta") is not None:
        raise NotOursError(f"it has an eta; its task is {task}")
    expires = headers.get("expires")
    if expires is None:
        return
    try:
        datetime.fromisoformat(expires)
    except (ValueError, TypeError):
        raise NotOursError(f"its expiry is not a time; its task is {task}") from None


def _plain(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers that Celery reads safely.

    Tracing libraries add texts, so texts of any name stay.
    """
    dropped = (
        "compression",
        "timelimit",
        "retries",
        "replaced_task_nesting",
        "stamped_headers",
        "stamps",
        "delay",
    )
    return {
        name: value
        for name, value in headers.items()
        if name not in dropped
        and (
            value is None
            or isinstance(value, bool)
            or (isinstance(value, str) and len(value) <= 4 * MAX_TEXT)
        )
    }


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    return ascii(value[:80]) if isinstance(value, str) else f"of type {type(value).__name__}"


def log_dropped(what: str) -> None:
    """Log one line about a message that was dropped."""
    log.warning("celery_message_dropped", queue=QUEUE, message=what)
