"""Make operations of documents that Customer.io would accept, and refuse other documents."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec

from trackrelay.errors import InvalidOperationError

from . import limits, plan_hook
from .checks.check_messages import WHOSE, beginning
from .checks.check_result import Checked, Document
from .checks.lazy_values import resolved
from .checks.name_checks import is_phone, plain_text, refuse_controls
from .checks.rejection import RefusalError, refusal_for, too_many_bytes, within, wrong_type
from .checks.text_checks import not_one_of, open_fields, refuse_unknown
from .coercion import JSON, encoded, mapping_of
from .ids import id_for, is_ulid, new_id
from .operation import Operation
from .refused_operations import RefusedOperation, refused
from .registry import BY_TYPE_AND_ACTION, Action, Family, V1Request


def check(
    document: Document,
    *,
    id: str | None = None,
    idempotency_key: str | int | UUID | None = None,
    actions: Mapping[tuple[str, str], Action] = BY_TYPE_AND_ACTION,
    planned: bool = True,
) -> Operation:
    """Check, normalise and encode one document.

    Args:
        document: an operation of the Track API's v2, or in our own form for what only v1 has.
        id: the id of the job, a ULID; default: the document's own (events), one derived from the
            idempotency key, or a new one.
        idempotency_key: the caller's own name for this call. The same key is the same job.
        actions: the registry, or one with other checks.
        planned: whether it must keep the application's tracking plan. Stored documents need not.

    Raises:
        InvalidOperationError: Customer.io would refuse or misunderstand it.
        PlanViolationError: it violates the tracking plan.
    """
    try:
        if type(document) is not dict:
            document = _read_once(document)
        action, extra = _action_of(document, actions)
        checked = action.check(document)
        if extra:
            checked.document |= extra
        key = (
            None
            if idempotency_key is None
            else within("idempotency_key", _idempotency_key, idempotency_key)
        )
        job_id = within("id", _id_of, id, document, action, checked, key)
        if action.has_id:
            checked.document["id"] = job_id
        body = encoded(checked.document)
        if not limits.fits_v2(len(body), stamp=checked.stamp):
            _check_large(action, checked, len(body))
        if plan_hook.call_plan is not None and planned:
            plan_hook.call_plan(action.name, checked.document)
    except InvalidOperationError as error:
        # An Unacceptable in the document has an earlier error.
        raise refused(document, error, idempotency_key) from None
    except Exception as error:
        refusal = refusal_for(error)
        invalid = refusal.error(_beginning(document, refusal))
        raise refused(document, invalid, idempotency_key) from refusal.__cause__
    return Operation(
        id=job_id,
        type=document["type"],
        action=document["action"],
        # An invite belongs to nobody, so nothing must wait for it.
        keys=checked.keys or (f"anonymous:{job_id}",),
        body=body,
        stamp=checked.stamp,
        idempotency_key=key,
        timestamp=None if checked.stamp else checked.document.get("timestamp"),  # type: ignore[arg-type]
        seal=body,
    )


def checked_again(operation: object) -> Operation:
    """Return ``operation`` if the builders made it, else check the operation in its body.

    Raises:
        InvalidOperationError: it is no operation, its body is refused, or its fields contradict its
            body.
    """
    if type(operation) is RefusedOperation:
        return operation  # dead letters take anything
    if type(operation) is not Operation:
        raise wrong_type(operation, "an operation that trackrelay.operations made").error(
            "what is enqueued"
        )
    companion = operation.companion
    try:
        if not is_checked(operation):
            operation = _described_by(operation)
        if companion is not None:
            operation = _with_companion(operation, checked_again(companion))
    except Exception as error:
        refusal = refusal_for(error)
        raise refusal.error("an operation") from refusal.__cause__
    return operation


def is_checked(operation: Operation) -> bool:
    """Return whether the builders made ``operation``. Its companion is not looked at."""
    return type(operation) is Operation and operation.seal is operation.body is not None


def _described_by(operation: Operation) -> Operation:
    described: object
    try:
        described = msgspec.json.decode(operation.body)
    except Exception as error:
        refusal = RefusalError("is not JSON", limit="JSON", actual="something else", at=("body",))
        raise refusal.error("the body of an operation") from error
    made = check(described, id=operation.id, idempotency_key=operation.idempotency_key)  # type: ignore[arg-type]
    for field in ("id", "type", "action", "keys", "stamp"):
        if getattr(operation, field) != getattr(made, field):
            refusal = RefusalError(
                "is not what its body says",
                limit="what the body says",
                actual="something else",
                at=(field,),
            )
            raise refusal.error(f"the {field} of an operation")
    return made


def _with_companion(event: Operation, companion: Operation) -> Operation:
    if companion is event.companion:
        return event
    if (
        companion.name != "person.identify"
        or companion.keys[:1] != event.keys
        or companion.companion is not None
    ):
        refusal = RefusalError(
            "is not an identify of the same person",
            limit="an identify",
            actual="something else",
            at=("companion",),
        )
        raise refusal.error("the companion of an operation")
    return msgspec.structs.replace(event, companion=companion)


def _read_once(document: object) -> dict[Any, Any]:
    # A mapping of the caller's own class can change between reads, or be endless.
    return dict(islice(mapping_of(document, "an object, such as a dict").items(), limits.VALUES))


def _beginning(document: object, refusal: RefusalError) -> str:
    try:
        return beginning(document, refusal.path)
    except Exception:
        return "an operation"


def _action_of(
    document: Document, actions: Mapping[tuple[str, str], Action]
) -> tuple[Action, dict[str, JSON]]:
    """Return the action of a document, and its fields that the description leaves open."""
    kind, verb = document.get("type"), document.get("action")
    # A str and no subclass: str() and repr() of an Enum's member differ from its value.
    action = actions.get((kind, verb)) if type(kind) is str and type(verb) is str else None
    if action is None:
        raise _unknown(kind, verb)
    extra: dict[str, JSON] = {}
    if not action.required_fields <= document.keys() <= action.fields:
        if action.family is Family.V2:
            extra = open_fields(document, sorted(action.fields))
        else:
            # The published description has these in v1 alone; their documents are our own form.
            refuse_unknown(document, sorted(action.fields))
        for missing in sorted(action.required_fields - document.keys()):
            problem = f"needs {missing}" if missing in WHOSE else "is missing"
            raise RefusalError(problem, limit="given", actual="missing", at=(missing,))
    return action, extra


def _unknown(kind: object, verb: object) -> RefusalError:
    kinds = tuple(dict.fromkeys(known for known, _ in BY_TYPE_AND_ACTION))
    if type(kind) is not str or kind not in kinds:
        return not_one_of(kinds, kind).inside("type")
    verbs = tuple(known for of, known in BY_TYPE_AND_ACTION if of == kind)
    return not_one_of(verbs, verb).inside("action")


def _idempotency_key(given: object) -> str:
    text = plain_text(given).strip()
    if not 1 <= len(text) <= limits.IDEMPOTENCY_KEY_LENGTH:
        raise RefusalError(
            f"is {len(text):,} characters; it can be 1 to {limits.IDEMPOTENCY_KEY_LENGTH}",
            limit=f"1 to {limits.IDEMPOTENCY_KEY_LENGTH} characters",
            actual=f"{len(text):,} characters",
        )
    return refuse_controls(text)


def _id_of(
    given: str | None,
    document: Document,
    action: Action,
    checked: Checked,
    idempotency_key: str | None,
) -> str:
    own = document.get("id") if action.has_id else None
    if given is None and own is None:
        if idempotency_key is None:
            return new_id()
        key = checked.keys[0] if checked.keys else "anonymous:"
        return id_for(action.name, key, checked.name, idempotency_key)
    ids = {_ulid(id) for id in (given, own) if id is not None}
    if len(ids) > 1:
        raise RefusalError("is not the job's", limit="the job's id", actual="another one")
    return ids.pop()


def _ulid(id: object) -> str:
    if type(id) is not str:
        id = resolved(id)
        id = str.__str__(id) if isinstance(id, str) else ""
    if not is_ulid(id := id.upper()):
        raise RefusalError(
            "is not a ULID", limit="a ULID: 26 letters and digits", actual="something else"
        )
    return id


def _check_large(action: Action, checked: Checked, size: int) -> None:
    """Refuse what is too large for v2, unless v1 takes it."""
    if not action.has_large_data:
        raise _too_large_for_v2(checked, size)
    if action.v1_request is V1Request.PERSON_EVENT and (whom := _odd_for_v1(checked)):
        refusal = _too_large_for_v2(checked, size)
        refusal.problem += whom
        raise refusal
    length = len(encoded(checked.document.get("attributes")))
    if length > limits.EVENT_DATA_BYTES:
        raise too_many_bytes(length, limits.EVENT_DATA_BYTES).inside("attributes")


def _too_large_for_v2(checked: Checked, size: int) -> RefusalError:
    stamp = limits.STAMP_BYTES if checked.stamp else 0
    return too_many_bytes(size + stamp, limits.OPERATION_BYTES)


def _odd_for_v1(checked: Checked) -> str:
    """Name the person, if v1 would take the shape of the identifier for another kind."""
    kind, _, value = checked.keys[0].partition(":")
    if kind == "phone":
        return " of a person named by phone"
    if kind == "id" and ("@" in value or value.startswith("cio_") or is_phone(value)):
        return " of a person whose id has the shape of an email, a cio_id or a phone"
    return ""
