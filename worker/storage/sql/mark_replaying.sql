-- Mark dead letters as replaying, unless somebody has changed them since they were read.
--
-- Parameters: arrays of one length: id, version, operation, key, other_key, body, event (appended to
--   the letter's history)
-- Parts: history (with the event)
UPDATE trackrelay_dead_letters d SET
    state = 'replaying', updated_at = clock_timestamp(), operation = row.operation,
    key = row.key, other_key = row.other_key, body = CAST(row.body AS json),
    history = $history
FROM unnest(
    CAST(:id AS text[]), CAST(:version AS text[]), CAST(:operation AS text[]),
    CAST(:key AS text[]), CAST(:other_key AS text[]), CAST(:body AS text[]), CAST(:event AS text[])
) AS row (id, version, operation, key, other_key, body, event)
WHERE d.job_id = row.id AND CAST(extract(epoch FROM d.updated_at) AS text) = row.version
RETURNING d.job_id
