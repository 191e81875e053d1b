"""The limits of operations, each with its source.

"Track API" is Customer.io's published description: the section on limits in its introduction,
unless another place is named. Sizes are bytes of UTF-8.
"""

from __future__ import annotations

#: Track API, customer limits: a person's id. Object limits: an object's id.
ID_BYTES = 150
#: Track API, customer and object limits: the name of one attribute.
ATTRIBUTE_NAME_BYTES = 150
#: Track API, customer and object limits: one attribute's value. We measure the JSON of lists and
#: objects.
ATTRIBUTE_VALUE_BYTES = 1_000
#: Track API, customer limits: attributes in an identify. Object limits: in an object or a
#: relationship.
ATTRIBUTES = 300
#: Track API, event limits: an event's, a page's or a screen's name.
EVENT_NAME_BYTES = 100
#: Track API, event limits: an event's data as JSON. Only v1 takes so much.
EVENT_DATA_BYTES = 100_000
#: Track API, v2 limits: "32kb" for an operation, alone or in a batch. We take the smallest reading
#: of it. An object reaches this limit before the 100 kB for its attributes.
OPERATION_BYTES = 32_000
#: Bytes of ``,"timestamp":1700000000``, which a document without a time of its own gets later.
STAMP_BYTES = 24
#: RFC 5321, 4.5.3.1.3: a path has at most 256 octets, and two of them are angle brackets.
EMAIL_BYTES = 254
#: Ours: an anonymous id becomes an attribute of the person, so it has the limit of one.
ANONYMOUS_ID_BYTES = ATTRIBUTE_VALUE_BYTES
#: Ours, as Customer.io publishes none: the id of a delivery or a form, the token of a device.
TOKEN_BYTES = 1_000
#: Track API, add_customers: a segment id is an int32.
SEGMENT_ID = 2**31 - 1
#: Ours: larger integers lose digits in the JSON parsers of other languages.
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**64 - 1
#: A larger number of unix seconds (the year 5138) is most likely milliseconds.
SECONDS_MAX = 100_000_000_000
#: Ours: how deep lists and objects may be nested.
DEPTH = 32
#: No document within the limits has more values, because each takes two bytes of JSON.
VALUES = EVENT_DATA_BYTES
#: Ours: a document with more characters is refused before it is encoded. It is ten times the limit,
#: so that an error can name the exact size of most documents that are too large.
CHARACTERS = 10 * EVENT_DATA_BYTES
#: Ours: no operation within 32,000 bytes has more relationships.
RELATIONSHIPS = 1_000
#: Ours: people in one call for a segment. ``enqueue_many`` takes any number.
PEOPLE = 100_000
#: Ours: 1990 and the end of 2099. A number outside is a duration, a date written as a number, or a
#: mistake.
TIMESTAMP_MIN, TIMESTAMP_MAX = 631_152_000, 4_102_444_799
#: Ours: a larger integer is no name, and Python refuses to write the largest.
NAME_BITS = 4_096
#: Ours: the length of the ledger's column.
IDEMPOTENCY_KEY_LENGTH = 255


def fits_v2(body_bytes: int, *, stamp: bool) -> bool:
    """Return whether a document of ``body_bytes`` fits v2, even if a timestamp is added."""
    return body_bytes + (STAMP_BYTES if stamp else 0) <= OPERATION_BYTES
