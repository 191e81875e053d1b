"""Checks of operations on people, except events."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trackrelay.operations.cautions import Caution, caution_about
from trackrelay.operations.coercion import JSON
from trackrelay.operations.keys import key_of
from trackrelay.operations.scalars import timestamp

from .attribute_checks import attributes_of, refuse_other_identifier
from .check_result import Checked, Document
from .identifier_checks import BY_ID_EMAIL_OR_CIO_ID, PERSON, anonymous_id, of_person
from .name_checks import email_address, is_phone, name_of
from .rejection import RefusalError, within, wrong_type
from .relationship_checks import at_least_one, to_objects


def identify(document: Document) -> Checked:
    """Check a new or changed person: attributes, anonymous id and relationships to objects."""
    clean, kind, value = _start(document)
    checked = Checked(clean, (key_of(kind, value),))
    if (when := document.get("timestamp")) is not None:
        clean["timestamp"] = within("timestamp", timestamp, when)
    given = document.get("attributes")
    if given is not None and (attributes := within("attributes", _attributes, given, kind, value)):
        clean["attributes"] = attributes
        if "_timestamp" in attributes:
            within("attributes", within, "_timestamp", _take_timestamp, clean, attributes)
        if isinstance(anonymous := attributes.get("anonymous_id"), str):
            checked.keys += (key_of("anonymous_id", anonymous),)
    checked.stamp = "timestamp" not in clean
    given = document.get("cio_relationships")
    if given is not None and (made := within("cio_relationships", to_objects, given)):
        clean["cio_relationships"] = made
    return checked


def bare(document: Document) -> Checked:
    """Check an operation that needs only the person, such as a deletion."""
    clean, kind, value = _start(document)
    return Checked(clean, (key_of(kind, value),))


def relate(document: Document) -> Checked:
    """Check added or deleted relationships to objects."""
    clean, kind, value = _start(document)
    made = within("cio_relationships", to_objects, document["cio_relationships"])
    clean["cio_relationships"] = within("cio_relationships", at_least_one, made)
    return Checked(clean, (key_of(kind, value),))


def merge(document: Document) -> Checked:
    """Check a merge of ``secondary`` into ``primary``."""
    primary = within("primary", of_person, document["primary"], BY_ID_EMAIL_OR_CIO_ID)
    secondary = within("secondary", of_person, document["secondary"], BY_ID_EMAIL_OR_CIO_ID)
    if primary == secondary:
        raise RefusalError(
            "is the primary; a merge takes two people",
            limit="two people",
            actual="one",
            at=("secondary",),
        )
    clean: dict[str, JSON] = {
        "type": "person",
        "action": "merge",
        "primary": dict([primary]),
        "secondary": dict([secondary]),
    }
    keys = key_of(*primary), key_of(*secondary)
    return Checked(clean, keys, name=keys[1])


def _start(document: Document) -> tuple[dict[str, JSON], str, str]:
    kind, value = within("identifiers", of_person, document["identifiers"])
    return (
        {"type": "person", "identifiers": {kind: value}, "action": str(document["action"])},
        kind,
        value,
    )


def _attributes(given: object, kind: str, value: str) -> dict[str, JSON]:
    attributes = attributes_of(given)
    if kind in attributes:
        hint = "to change an identifier, name the person by Person(cio_id=…)"
        refuse_other_identifier(attributes, kind, value, PERSON[kind], hint)
    if not _CHECKED.isdisjoint(attributes):
        for name in _PHONES & attributes.keys():
            caution_about_phone(name, attributes[name])
        for name in _MEANINGFUL.keys() & attributes.keys():
            attributes[name] = within(name, _MEANINGFUL[name], attributes[name])
    return attributes


def _take_timestamp(clean: dict[str, JSON], attributes: dict[str, JSON]) -> None:
    """Move the ``_timestamp`` of v1 from the attributes to the place that v2 has for it."""
    given = attributes.pop("_timestamp")
    if not attributes:
        del clean["attributes"]
    if given is None:
        return
    when = timestamp(given)
    if clean.setdefault("timestamp", when) != when:
        raise RefusalError(
            "contradicts the timestamp of the call",
            limit="the same time or none",
            actual="another time",
        )


def _email(value: JSON) -> JSON:
    # None or "" removes the address.
    return value if value is None or value == "" else email_address(value)


def _anonymous_id(value: JSON) -> JSON:
    return None if value is None else anonymous_id(value)


def _update(value: JSON) -> JSON:
    if not isinstance(value, bool):
        raise wrong_type(value, "true or false")
    return value


def _preferences(value: JSON) -> JSON:
    # Track API, cio_subscription_preferences.
    if value is None:
        return value
    if not isinstance(value, dict):
        raise wrong_type(value, "an object such as {'topics': {'topic_1': True}}")
    topics = {} if value.get("topics") is None else value["topics"]
    if not isinstance(topics, dict):
        raise wrong_type(topics, "an object such as {'topic_1': True}").inside("topics")
    for topic, subscribed in topics.items():
        # None and "" reset the topic to its default.
        if not isinstance(subscribed, bool) and subscribed is not None and subscribed != "":
            raise wrong_type(subscribed, "true or false").inside("topics", topic)
    return value


def _refused_attribute(how: str) -> Callable[[JSON], JSON]:
    def refuse(_: JSON) -> JSON:
        raise RefusalError(f"is v1's way; here it is {how}", limit=how, actual="an attribute")

    return refuse


def caution_about_phone(name: str, value: JSON) -> None:
    """Log a phone number that Customer.io accepts as an attribute but cannot use."""
    if isinstance(value, str) and value.strip() and not is_phone(value.strip()):
        caution_about(Caution.PHONE, name)


#: Attributes that have a meaning for Customer.io.
_MEANINGFUL: Mapping[str, Callable[[JSON], JSON]] = {
    "email": _email,
    "id": name_of,
    "anonymous_id": _anonymous_id,
    "cio_subscription_preferences": _preferences,
    "_update": _update,
    "cio_relationships": _refused_attribute("the relationships of the call"),
}

#: Usual names of attributes with phone numbers.
_PHONES = frozenset(
    {
        "phone",
        "phone_number",
        "mobile",
        "mobile_phone",
        "mobile_number",
        "cell_phone",
        "phoneNumber",
    }
)
_CHECKED = _PHONES | _MEANINGFUL.keys()
