"""The limits Customer.io publishes, in bytes and counts, and nothing else."""

PERSON_ID_BYTES = 150
OBJECT_ID_BYTES = 150
ATTRIBUTE_NAME_BYTES = 150
ATTRIBUTE_VALUE_BYTES = 1_000
ATTRIBUTES = 300
#: All attributes of an object, or of a relationship, together.
ATTRIBUTES_BYTES = 100_000

EVENT_NAME_BYTES = 100
#: v1 only; in v2 the size of the whole operation is what counts.
EVENT_DATA_BYTES = 100_000

#: A kilobyte is read as 1,000 bytes: whoever stays below that also stays below 1,024.
OPERATION_BYTES = 32_000
#: "Smaller than": a batch of exactly this size is refused.
BATCH_BYTES = 500_000
#: Not published; one large integration caps its batches here.
BATCH_OPERATIONS = 1_000

SEGMENT_IDS = 1_000
SEGMENT_ID_MAX = 2**31 - 1

#: No documented request comes near; what is larger is refused unread.
BODY_BYTES = 8_000_000

#: How long an anonymous event waits for its person, and how far back a merge carries events.
EVENT_HISTORY_S = 30 * 24 * 3600
