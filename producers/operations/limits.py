"""Every number an operation is measured against, each with the page it comes from.

"Track API" is Customer.io's published description of it: the section on limits in its introduction, unless another
place is named. Sizes are of UTF-8.
"""

from __future__ import annotations

#: Track API, customer limits: a person's id. Object limits: an object's id.
ID_BYTES = 150
#: Track API, customer and object limits: the name of one attribute.
ATTRIBUTE_NAME_BYTES = 150
#: Track API, customer and object limits: one attribute's value; of a list or an object we measure the JSON.
ATTRIBUTE_VALUE_BYTES = 1_000
#: Track API, customer limits: attributes an identify call. Object limits: an object or a relationship.
ATTRIBUTES = 300
#: Track API, event limits: an event's, a page's or a screen's name.
EVENT_NAME_BYTES = 100
#: Track API, event limits: an event's data, as JSON. Reached by v1 only.
EVENT_DATA_BYTES = 100_000
#: Track API, v2 limits: "32kb" an operation, alone or in a batch. Of its readings (32,000 or 32,768, below or at) the
#: smallest. An object's or a relationship's 100 kB of attributes cannot be reached before it.
OPERATION_BYTES = 32_000
#: What ``,"timestamp":1700000000`` adds when the document takes the time of the store that accepts it.
STAMP_BYTES = 24
#: RFC 5321, 4.5.3.1.3: a path is at most 256 octets, two of them angle brackets.
EMAIL_BYTES = 254
#: Ours: an anonymous id becomes a person's attribute, so it gets an attribute's room.
ANONYMOUS_ID_BYTES = ATTRIBUTE_VALUE_BYTES
#: Ours, as Customer.io publishes none: a delivery's or a form's id, a device's token. Room to spare.
TOKEN_BYTES = 1_000
#: Track API, add_customers: a segment id is an int32.
SEGMENT_ID = 2**31 - 1
#: Ours: what JSON parsers of other languages keep whole.
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**64 - 1
#: Unix seconds beyond this (the year 5138) are milliseconds somebody forgot to divide.
SECONDS_MAX = 100_000_000_000
#: Ours: lists and objects inside each other.
DEPTH = 32
#: No document within the limits has as many values: each takes two bytes of JSON or more.
VALUES = EVENT_DATA_BYTES
#: Ours: characters of a document's texts together, at which it is refused before it is encoded. Ten times of what can
#: be within the limits, so that up to here an error can name the exact size.
CHARACTERS = 10 * EVENT_DATA_BYTES
#: Ours: no operation within 32,000 bytes has as many relationships.
RELATIONSHIPS = 1_000
#: Ours: people that one call puts into a segment, each by an operation. ``enqueue_many`` takes any number.
PEOPLE = 100_000
#: Ours: 1990 and the end of 2099. What lies outside is a duration, a date written as a number, or a mistake.
TIMESTAMP_MIN, TIMESTAMP_MAX = 631_152_000, 4_102_444_799
#: Ours: integers of more bits are no name, and Python refuses to write the largest ones.
NAME_BITS = 4_096
#: Ours: the ledger's column.
IDEMPOTENCY_KEY_LENGTH = 255


def fits_v2(body_bytes: int, *, stamp: bool) -> bool:
    """Whether a document of ``body_bytes`` is within v2's limit once it has its timestamp."""
    return body_bytes + (STAMP_BYTES if stamp else 0) <= OPERATION_BYTES
