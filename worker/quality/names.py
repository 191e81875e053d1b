"""When two names mean the same thing. Pure.

A name is compared by its words: ``Order Completed``, ``orderCompleted`` and ``order_completed``
have the same. Known synonyms come from the events and properties of retention programs.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")

#: Events that say that somebody bought something.
PURCHASE_EVENTS = frozenset(
    [
        "purchase",
        "purchase complete",
        "purchase made",
        "product purchase",
        "order",
        "order complete",
        "complete order",
        "order place",
        "order paid",
        "order create",
        "order success",
        "checkout complete",
        "checkout success",
        "transaction",
        "transaction complete",
        "payment complete",
        "payment success",
        "sale",
        "buy",
        "bought",
    ]
)
#: Events that are known under several names.
EVENT_SYNONYMS = (
    PURCHASE_EVENTS,
    frozenset(["add to cart", "cart add", "product add", "item add", "product add to cart"]),
    frozenset(["checkout start", "begin checkout", "initiate checkout", "start checkout"]),
    frozenset(["product view", "view product", "view item", "view content", "item view"]),
    frozenset(["sign up", "signup", "register", "registration", "account create", "user register"]),
    frozenset(["refund", "order refund", "refund create", "refund issue"]),
    frozenset(["subscription create", "subscription start", "subscribe", "new subscription"]),
    frozenset(["order ship", "shipment create", "order dispatch", "shipment"]),
)
_CHECKOUT = EVENT_SYNONYMS[2]
_REFUND, _SUBSCRIPTION, _SHIPMENT = EVENT_SYNONYMS[5:8]
#: The one of these that neither starts nor stops a message by itself.
_VIEWED = EVENT_SYNONYMS[3]
_ORDER_IDS = frozenset(["order id", "order number", "transaction id", "order no", "order ref"])
#: Attributes that are known under several names.
_FACTS = (
    frozenset(["product id", "sku", "item id", "product sku", "article id", "variant id"]),
    frozenset(["cart value", "cart total", "basket value", "basket total", "cart amount"]),
    frozenset(["total", "order total", "order value", "amount", "revenue", "total price"]),
    _ORDER_IDS,
    frozenset(["quantity", "qty"]),
    frozenset(["currency", "currency code"]),
)
_COUNTRY = frozenset(["country", "country code"])
_TIMEZONE = frozenset(["timezone", "time zone", "tz"])
_CREATED = frozenset(["created at", "signup date", "signed up at", "registered at", "created"])
ATTRIBUTE_SYNONYMS = (
    # Those that are facts of an event, whoever sends it.
    *_FACTS,
    frozenset(["first name", "firstname", "given name", "forename"]),
    frozenset(["last name", "lastname", "surname", "family name"]),
    frozenset(["phone", "phone number", "mobile", "mobile number", "telephone"]),
    _COUNTRY,
    _TIMEZONE,
    frozenset(["accepts marketing", "marketing opt in", "marketing consent", "opt in marketing"]),
    _CREATED,
)
#: Words of attributes that say whether a person may be written to.
CONSENT = frozenset(
    [
        "accepts marketing",
        "marketing opt in",
        "marketing consent",
        "opt in marketing",
        "unsubscribe",
        "subscribe",
        "opt in",
        "opt out",
        "email consent",
        "sms consent",
        "consent",
        "gdpr consent",
        "newsletter",
    ]
)
_LAST_ORDER = frozenset(["last order at", "last purchase at", "last ordered at", "last order date"])
_ORDER_COUNT = frozenset(["orders count", "total orders", "number of orders", "purchase count"])
_LIFETIME_VALUE = frozenset(["lifetime value", "ltv", "total spent"])
#: What one system computes from a person's orders or contract.
STATE = _LAST_ORDER | _ORDER_COUNT | _LIFETIME_VALUE | {"subscription status"}
#: What retention programs use of a person, by its usual name.
MUST_HAVES = {
    "created_at": _CREATED,
    "accepts_marketing": CONSENT,
    "country": _COUNTRY,
    "timezone": _TIMEZONE | {"cio timezone"},
    "last_order_at": _LAST_ORDER,
    "orders_count": _ORDER_COUNT,
    "lifetime_value": _LIFETIME_VALUE,
}
#: Names that an application writes when it does not know the name.
PLACEHOLDERS = frozenset(["undefined", "null", "nan", "object object"])
#: Names of events that somebody tried something with.
TRIALS = frozenset(["test", "test event", "event test", "my event", "foo", "asdf", "dummy"])
#: Attributes that nobody needs in a campaign, and nobody may store there.
SECRETS = frozenset(
    [
        "password",
        "user password",
        "new password",
        "old password",
        "passwd",
        "pwd",
        "secret",
        "client secret",
        "api key",
        "access token",
        "refresh token",
        "auth token",
        "card number",
        "credit card number",
        "cvv",
        "cvc",
        "ssn",
        "social security number",
    ]
)
_TEMPLATE = ("{{", "}}", "{%", "${", "<%")
_NUMBERED = re.compile(r"(.*?[_\-. ])(\d+)(?![^_\-. ])")
_EXCEPTIONS = {"bought": "buy", "paid": "paid", "sent": "send", "began": "begin"}


@lru_cache(maxsize=20_000)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name, in lower case: ``productId`` has ``product`` and ``id``."""
    return tuple(word.lower() for word in _WORD.findall(name.replace("'", "")))


@lru_cache(maxsize=20_000)
def stem(name: str) -> str:
    """Return the words of a name without plural and past tense."""
    return " ".join(map(_word_stem, words(name)))


def _word_stem(word: str) -> str:
    if word in _EXCEPTIONS:
        return _EXCEPTIONS[word]
    if len(word) > 4 and word.endswith("ed"):
        base = word[:-2]
        if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "sl":
            return base[:-1]
        return _without_e(base)
    if len(word) > 3 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return _without_e(word[:-1])
    return _without_e(word)


def _without_e(word: str) -> str:
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


@lru_cache(maxsize=100)
def _stems(group: frozenset[str]) -> frozenset[str]:
    return frozenset(map(stem, group))


_EVENT_GROUPS = tuple(map(_stems, EVENT_SYNONYMS))
_ATTRIBUTE_GROUPS = tuple(map(_stems, ATTRIBUTE_SYNONYMS))
_ORDER_ID_STEMS = _stems(_ORDER_IDS)
_CONSENT = _stems(CONSENT)
_STATE = _stems(STATE)
_MUST_HAVES = {stem: name for name, group in MUST_HAVES.items() for stem in _stems(group)}


def event_group(name: str) -> int | None:
    """Return the number of the group of synonyms that an event belongs to, or None."""
    return next((n for n, group in enumerate(_EVENT_GROUPS) if stem(name) in group), None)


def is_decisive(name: str) -> bool:
    """Return whether messages start or stop by an event, such as a purchase or a cancellation."""
    if any(word.startswith(("cancel", "unsubscrib")) for word in words(name)):
        return True
    return event_group(name) is not None and not is_view(name)


def attribute_group(name: str) -> int | None:
    """Return the number of the group of synonyms that an attribute belongs to, or None."""
    return next((n for n, group in enumerate(_ATTRIBUTE_GROUPS) if stem(name) in group), None)


def fact(path: str) -> int | None:
    """Return the number of the fact that an event's attribute states, such as an order's id."""
    group = attribute_group(path)
    return group if group is not None and group < len(_FACTS) else None


def is_order_id(path: str) -> bool:
    """Return whether an attribute says which order an event is about."""
    return stem(path) in _ORDER_ID_STEMS


def is_purchase(event: str) -> bool:
    """Return whether an event says that somebody bought something."""
    return event_group(event) == EVENT_SYNONYMS.index(PURCHASE_EVENTS)


def is_checkout(event: str) -> bool:
    """Return whether an event says that somebody began to pay."""
    return stem(event) in _EVENT_GROUPS[EVENT_SYNONYMS.index(_CHECKOUT)]


def is_refund(event: str) -> bool:
    """Return whether an event says that money was given back."""
    return stem(event) in _stems(_REFUND)


def is_subscription(event: str) -> bool:
    """Return whether an event says that somebody began a subscription."""
    return stem(event) in _stems(_SUBSCRIPTION)


def is_cancellation(event: str) -> bool:
    """Return whether an event says that something was ended, such as a subscription."""
    return any(word.startswith(("cancel", "expire")) for word in words(event))


def is_server_fact(event: str) -> bool:
    """Return whether a server knows what an event says, such as a purchase or a refund."""
    is_one = (is_purchase, is_refund, is_subscription, is_cancellation)
    return stem(event) in _stems(_SHIPMENT) or any(each(event) for each in is_one)


def is_view(event: str) -> bool:
    """Return whether an event says that somebody looked at a product."""
    return stem(event) in _stems(_VIEWED)


def must_have(path: str) -> str | None:
    """Return the usual name of an attribute that retention programs use; None: another one."""
    return _MUST_HAVES.get(stem(path))


def is_state(path: str) -> bool:
    """Return whether an attribute is computed from a person's orders or contract."""
    return stem(path) in _STATE


def is_placeholder(name: str) -> bool:
    """Return whether a name stands for one that was not filled in."""
    return " ".join(words(name)) in PLACEHOLDERS or any(each in name for each in _TEMPLATE)


def is_trial(event: str) -> bool:
    """Return whether somebody tried something with an event."""
    return " ".join(words(event)) in TRIALS


def is_secret(leaf: str) -> bool:
    """Return whether an attribute is a password or the like."""
    return " ".join(words(leaf)) in SECRETS


def numbered(name: str) -> tuple[str, str]:
    """Return what is before the first number that is a word of its own, and the number."""
    match = _NUMBERED.match(name)
    return (match[1], match[2]) if match else (name, "")


def is_consent(path: str) -> bool:
    """Return whether an attribute says whether a person may be written to."""
    return stem(path) in _CONSENT or path.startswith("cio_subscription_preferences")


def same_words(one: str, other: str) -> bool:
    """Return whether two different names have the same words."""
    return one != other and (
        stem(one) == stem(other) or "".join(words(one)) == "".join(words(other))
    )


def is_typo(one: str, other: str) -> bool:
    """Return whether two names differ by one letter: added, left out, replaced or swapped.

    Digits are left alone: ``address1`` and ``address2`` differ on purpose.
    """
    if one == other or min(len(one), len(other)) < 6 or abs(len(one) - len(other)) > 1:
        return False
    start = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if start is None:
        changed = (one + other)[-1]
        return changed.isalpha()
    a, b = one[start:], other[start:]
    if not (a[0].isalpha() and b[0].isalpha()):
        return False
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[1::-1] + a[2:] == b and len(a) > 1)
