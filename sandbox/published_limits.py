"""The limits that Customer.io publishes, in bytes and counts."""

PERSON_ID_BYTES = 150
OBJECT_ID_BYTES = 150
ATTRIBUTE_NAME_BYTES = 150
ATTRIBUTE_VALUE_BYTES = 1_000
ATTRIBUTES = 300
#: All attributes of an object, or of a relationship, together.
ATTRIBUTES_BYTES = 100_000

EVENT_NAME_BYTES = 100
#: v1 only; v2 limits the size of the whole operation.
EVENT_DATA_BYTES = 100_000

#: Customer.io says 32 kilobytes. 32,000 is the stricter reading.
OPERATION_BYTES = 32_000
#: A batch of exactly this size is refused: the description says "smaller than".
BATCH_BYTES = 500_000
#: Not published. Another integration limits its batches to this.
BATCH_OPERATIONS = 1_000

SEGMENT_IDS = 1_000
SEGMENT_ID_MAX = 2**31 - 1

#: Far above every documented request. A larger body is refused unread.
BODY_BYTES = 8_000_000

#: How long an anonymous event waits for its person, and how old the events are that a merge moves.
EVENT_HISTORY_S = 30 * 24 * 3600
#: How old an event may be that starts a campaign.
CAMPAIGN_EVENT_S = 72 * 3600
