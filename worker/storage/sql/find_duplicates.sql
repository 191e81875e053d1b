-- Select which jobs of a read are known, which of its keys wait, and whether the lane has a due job.
--
-- Each row is looked up through an index. A join would be planned by statistics, and there are none
-- in the first minute of an outage, when the backlog grows: Postgres would read the whole backlog in
-- each cycle, which takes longer than a lease lasts.
--
-- A two-key job that was enqueued in both lanes waits in one lane. It is known here if another shard
-- has it in the other lane, because its row for this shard comes there. With a row in each lane, two
-- such jobs would wait for each other.
--
-- Parameters: ids, keys, shard, lane, families, due_from (the lowest position; NULL: none),
--   first_period, last_period
-- Parts: ids, in_periods
-- Rows: what ('job', 'key', 'due' or 'versions'), name
SELECT 'job' AS what, id AS name FROM trackrelay_ledger
WHERE id = ANY($ids) AND $in_periods
UNION ALL
SELECT 'job', job_id FROM trackrelay_dead_letters
WHERE job_id = ANY($ids) AND state IN ('open', 'replaying')
UNION ALL
SELECT 'job', asked.id FROM unnest(CAST(:ids AS text[])) AS asked (id)
CROSS JOIN LATERAL (
    SELECT shard, lane FROM trackrelay_backlog b WHERE b.job_id = asked.id LIMIT 4) known
WHERE known.shard = :shard OR known.lane <> :lane
UNION ALL
SELECT 'key', asked.key FROM unnest(CAST(:keys AS text[])) AS asked (key)
CROSS JOIN LATERAL (
    SELECT 1 FROM trackrelay_backlog b
    WHERE b.shard = :shard AND b.lane = :lane AND b.key = asked.key
    ORDER BY position LIMIT 1) known
UNION ALL
SELECT 'due', '' FROM (
    SELECT 1 FROM unnest(CAST(:families AS text[])) AS wanted (family)
    CROSS JOIN LATERAL (
        SELECT 1 FROM trackrelay_backlog b
        WHERE b.shard = :shard AND b.lane = :lane AND b.family = wanted.family
            AND b.position >= CAST(:due_from AS bigint)
            AND b.due_at IS NOT NULL AND b.due_at <= now()
        ORDER BY position LIMIT 1) first
    LIMIT 1) due
UNION ALL
SELECT 'versions', block_version || ' ' || plan_version FROM trackrelay_shards WHERE shard = :shard
