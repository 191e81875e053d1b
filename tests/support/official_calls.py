"""Calls of the official client with values of all kinds, written as they stand in a program.

``cio`` is a client, of whichever package; ``NOW`` is unix seconds, ``WHEN`` a datetime.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

NOW = 1_700_000_000
ULID = "01HB4HBDKTFWYZCK01DMRSWRFD"


def nested(depth: int) -> dict[str, Any]:
    """Return objects inside each other."""
    return {"a": nested(depth - 1)} if depth else {}


#: What the calls may name.
NAMES: dict[str, Any] = {
    "NOW": NOW,
    "WHEN": datetime(2023, 11, 14, tzinfo=UTC),
    "datetime": datetime,
    "nested": nested,
}

# fmt: off
_IDENTIFIERS = [
    "5", "5.5", "True", "' 5 '", "'  '", "'a' * 151", "'user@localhost'", "'a@b@example.com'",
    "'Ünï@example.com'", "'cio_'", "'cio_03ff'", "'+4915112345678'", "'x\\n'", "'.'", "'..'", "0",
    "-1", "[1]", "'a b@example.com'", "'Ada <ada@example.com>'", "b'x'",
    "'x' * 250 + '@example.com'", "'@'", "'ü' * 80", "'a/b?c'", "'%2e'", "'undefined'", "'null'",
    "'None'", "'{identifier}'", "'[object Object]'", "float('nan')",
]
_ATTRIBUTES = {
    "email": ["None", "''", "' '", "'x'", "'user@localhost'", "'a@b@example.com'",
        "'A@Example.com '", "'x' * 300 + '@example.com'", "'x' * 1500", "7", "['a']"],
    "anonymous_id": ["None", "''", "' '", "7", "7.5", "['a']", "'x' * 200", "'x' * 1500", "'a\\n'",
        "True"],
    "phone": ["None", "'123'", "7"],
    "created_at": ["'soon'", "NOW", "NOW * 1000", "NOW * 1000 + 0.5", "NOW + 0.5", "-5", "WHEN",
        "str(NOW * 1000)"],
    "_timestamp": ["NOW", "NOW * 1000", "str(NOW)", "'soon'", "None", "NOW + 0.5", "WHEN", "-1",
        "True"],
    "_update": ["True", "None", "1", "'true'"],
    "cio_subscription_preferences": [
        "None", "{}", "'none'", "{'topics': None}", "{'topics': [1]}",
        "{'topics': {'topic_1': True}}", "{'topics': {'topic_1': None}}",
        "{'topics': {'topic_1': ''}}", "{'topics': {'topic_1': 'yes'}}", "'{\"topics\": {}}'",
    ],
    "cio_relationships": [
        "None", "{}", "[]", "'x'", "{'action': 'add_relationships'}",
        "{'action': 'add_relationships', 'relationships': []}",
        "{'action': 'delete_relationships', 'relationships': []}",
        "{'action': 'x', 'relationships': []}", "{'relationships': [{'identifiers': "
        "{'object_type_id': '1', 'object_id': 'a'}}]}",
        "{'relationships': [{'identifiers': {'object_type_id': 1, 'object_id': 2}}]}",
        "{'relationships': [{'identifiers': {'object_type_id': '1'}}]}",
        "{'relationships': {'identifiers': {'object_type_id': '1', 'object_id': 'a'}}}",
    ],
    "value": ["None", "2**70", "-2**70", "nested(40)", "nested(20)", "'x' * 1001", "['x' * 1001]",
        "'\\x00'", "'a\\nb'", "[None, 1.5]", "(1, 2)", "float('nan')"],
    "unsubscribed": ["'TRUE'", "1", "None"],
}
_NAMES = ["''", "' '", "None", "5", "True", "['x']", "'x' * 101", "'a\\nb'", "'é' * 60",
    "' padded '"]
_DATA = [
    "None", "{}", "{'recipient': 'x'}", "{'recipient': None}", "{'recipient': ''}",
    "{'recipient': 7}", "{'recipient': 'Ada <ada@example.com>'}",
    "{'from_address': 'Shop <shop@example.com>'}", "{'reply_to': ''}", "{'reply_to': 7}",
    "{'big': 'x' * 33_000}", "{'big': 'x' * 100_001}", "{'n': 2**70}", "{'seen_at': NOW * 1000}",
    "{'': 1}", "{'x': {'': 1}}", "{5: 1}", "{None: 1}", "{'d': nested(40)}",
    "{'list': [None, [1]]}", "[]", "'x'",
]
_IDS = ["'order-7'", repr(ULID), repr(ULID.lower()), "7", "''", "True"]
_TIMES = ["NOW", "NOW * 1000", "str(NOW * 1000)", "str(NOW)", "NOW + 0.5", "float('inf')",
    "float('nan')", "True", "-1", "'x'", "WHEN", "datetime(1960, 1, 1)", "0", "1", "99_999_999_999"]
_ANONYMOUS = ["''", "' '", "None", "7", "7.5", "'x' * 300", "'x' * 1500", "True", "['a']", "'a\\n'",
    "{}", "'undefined'"]
_PLATFORMS = ["'ios'", "'IOS'", "'web'", "5"]
_DEVICE = [
    "primary=True", "attribute={'a': 'b'}", "device_os='17'", "attributes=None", "attributes=[]",
    "attributes={'a': 1}", "attributes={'a': None}", "attributes={'push_enabled': True}",
    "attributes={'push_enabled': 'maybe'}", "attributes={'_last_status': 'sent'}", "last_used=NOW",
    "last_used=NOW * 1000", "last_used=WHEN", "last_used='soon'", "last_used=None",
    "last_used=NOW + 0.5", "last_used=-1",
]
_MERGES = [
    "'id', '1', 'id', '1'", "'id', 1, 'id', 2", "'id', ' ', 'id', '2'", "'id', 1.5, 'id', '2'",
    "'cio_id', 'cio_03', 'id', '2'", "'id', '1', 'email', 'x'",
    "'email', 'user@localhost', 'id', '2'", "'email', 'A@example.com', 'email', 'a@example.com'",
    "'id', 'a@example.com', 'email', 'b@example.com'",
]
_PAGES = ["keywords='a'", "keywords=[1]", "title=7", "url=None", "referrer=''"]
_SENT = {
    "PUT {cio.base_url}/customers/5": ["{}", "{'id': '5'}", "{'id': '6'}", "{'id': None}",
        "{'id': ''}", "{'id': 5}", "{'': 1}", "{' ': 1}", "{'n' * 151: 1}"],
    "PUT {cio.base_url}/customers/ada%40example.com": ["{'email': 'bo@example.com'}",
        "{'email': 'ADA@example.com'}", "{'email': None}", "{'id': 7}"],
    "PUT {cio.base_url}/customers/cio_03": ["{'cio_id': '04'}", "{'cio_id': 'cio_03'}"],
    "POST {cio.base_url}/customers/5/events": [
        "{'name': 'x', 'type': 'screen'}", "{'name': 'x', 'type': 'other'}",
        "{'name': 'x', 'data': None}", "{'name': 'x', 'data': []}", "{'name': 'x', 'more': 1}",
        "{'name': 'x', 'anonymous_id': 'a'}", "{'name': 'x', 'timestamp': None}",
        "{'name': 'x', 'timestamp': 'soon'}", "{'name': 'x', 'id': None}", "{}",
    ],
    "POST {cio.base_url}/segments/7/add_customers": [
        "{'ids': ['1', '2']}", "{'ids': [1]}", "{'ids': ['']}", "{'ids': ['1', ' ']}",
        "{'ids': []}", "{}", "{'ids': ['a' * 151]}", "{'ids': [None]}", "{'ids': ['x\\n']}",
    ],
    "POST {cio.base_url}/segments/7/remove_customers": ["{'ids': ['1'], 'more': 1}"],
    "POST {cio.base_url}/segments/7/add_customers?id_type=email": [
        "{'ids': ['ada@example.com', '1']}", "{'ids': ['1']}",
    ],
    "POST {cio.base_url}/segments/7/add_customers?id_type=phone": ["{'ids': ['1']}"],
    "POST {cio.base_url}/segments/0/add_customers": ["{'ids': ['1']}"],
    "POST {cio.base_url}/segments/x/add_customers": ["{'ids': ['1']}"],
    "POST {cio.base_url}/forms/contact/submit": [
        "{'data': {'id': 1}}", "{'data': {'email': 'ada@example.com', 'id': '1'}}",
        "{'data': {'email': 'x'}}", "{'data': {'email': 'ada@example.com', 'n': 5}}",
        "{'data': {'email': 'ada@example.com', 'n': None}}",
        "{'data': {'email': 'ada@example.com', 'form_name': 'x'}}", "{'data': {}}", "{'data': 'x'}",
        "{}",
    ],
    "POST {cio.base_url}/metrics": [
        "{'delivery_id': 'd', 'metric': 'opened'}", "{'delivery_id': 'd', 'metric': 'eaten'}",
        "{'metric': 'opened'}", "{'delivery_id': 'd'}", "{'delivery_id': 'd', 'metric': 'opened', "
        "'recipient': 5}", "{'delivery_id': 'd', 'metric': 'opened', 'recipient': None}",
        "{'delivery_id': 'd', 'metric': 'opened', 'timestamp': NOW * 1000}",
        "{'delivery_id': 'd', 'metric': 'opened', 'more': 1}",
        "{'delivery_id': 'd' * 1500, 'metric': 'opened'}",
    ],
    "POST {cio.base_url}/push/events": [
        "{'delivery_id': 'd', 'event': 'opened', 'device_id': 't', 'timestamp': NOW}",
        "{'event': 'opened'}", "{}", "{'delivery_id': 'd'}",
        "{'delivery_id': 'd', 'event': 'eaten'}",
    ],
    "POST https://track.customer.io/unsubscribe/d1": ["{'unsubscribe': True}",
        "{'unsubscribe': False}", "{}"],
    "GET {cio.base_url}/accounts/region": ["{}"],
    "POST {cio.base_url}/nowhere": ["{}"],
}
_OPERATIONS = [
    "'action': 'identify'", "'action': 'identify', 'attributes': {'email': 'x'}",
    "'action': 'identify', 'attributes': {'anonymous_id': ''}",
    "'action': 'identify', 'attributes': None", "'action': 'identify', 'timestamp': NOW * 1000",
    "'action': 'identify', 'identifiers': {'id': 5}", "'action': 'identify', 'identifiers': {'id': "
    "'5', 'email': None}",
    "'action': 'event', 'name': 'x', 'id': 'no'", "'action': 'event', 'name': 'x', 'attributes': "
    "{'recipient': 'x'}", "'action': 'event', 'name': 'x', 'attributes': {'reply_to': ' '}",
    "'action': 'add_device', 'device': {'token': 't', 'platform': 'ios', 'attributes': "
    "{'_last_status': 'sent'}}", "'action': 'add_relationships', 'cio_relationships': []",
    "'action': 'add_relationships', 'cio_relationships': {'identifiers': {'object_type_id': '1', "
    "'object_id': 'a'}}",
    "'action': 'delete', 'identifiers': {'phone': '123'}", "'action': 'eat'",
    "'action': 'event', 'name': 'x', 'data': {}", "'action': 'event', 'name': 'x', 'context': {}",
]
# fmt: on


def calls() -> Iterator[str]:
    """Yield the calls."""
    for identifier in _IDENTIFIERS:
        yield f"cio.identify({identifier}, plan='pro')"
        yield f"cio.track({identifier}, 'x')"
        yield f"cio.delete({identifier})"
    for name, values in _ATTRIBUTES.items():
        yield from (f"cio.identify('5', {name}={value})" for value in values)
    yield "cio.identify('5', **{'cio_subscription_preferences.topics.topic_1': True})"
    yield "cio.identify('5', **{str(number): number for number in range(301)})"
    yield from (f"cio.track('5', {name})" for name in _NAMES)
    yield from (f"cio.pageview('5', {name})" for name in _NAMES)
    yield from (f"cio.pageview('5', '/', {field})" for field in _PAGES)
    yield from (f"cio.track('5', 'x', {data})" for data in _DATA)
    yield from (f"cio.track_anonymous(None, 'x', {data})" for data in _DATA)
    yield from (f"cio.track('5', 'x', id={id})" for id in _IDS)
    for time in _TIMES:
        yield f"cio.track('5', 'x', timestamp={time})"
        yield f"cio.backfill('5', 'x', {time})"
    for anonymous_id in _ANONYMOUS:
        yield f"cio.track_anonymous({anonymous_id}, 'x')"
        yield f"cio.track_anonymous({anonymous_id}, 'x', {{'recipient': 'ada@example.com'}})"
    yield "cio.track('+4915112345678', 'x', {'big': 'x' * 33_000})"
    for token in ("'t'", "5", "' '", "'x' * 1500", "'t\\n'", "'.'", "True", "['t']"):
        yield f"cio.add_device('5', {token}, 'ios')"
        yield f"cio.delete_device('5', {token})"
    yield from (f"cio.add_device('5', 't', {platform})" for platform in _PLATFORMS)
    yield from (f"cio.add_device('5', 't', 'ios', {field})" for field in _DEVICE)
    yield from (f"cio.merge_customers({people})" for people in _MERGES)
    for where, bodies in _SENT.items():
        method, _, url = where.partition(" ")
        yield from (f"cio.send_request({method!r}, f{url!r}, {body})" for body in bodies)
    for operation in _OPERATIONS:
        yield f"cio.batch([{{'type': 'person', 'identifiers': {{'id': '5'}}, {operation}}}])"
    yield "cio.batch([5])"
    yield (
        "cio.batch([{'type': 'person', 'action': 'merge', "
        "'primary': {'id': '1'}, 'secondary': {'id': '1'}}])"
    )
