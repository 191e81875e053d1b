-- Give the first row of each key its due time, if it has none.
--
-- A delayed operation, such as a merge, is due a little later: Customer.io may still process what
-- was delivered before it.
--
-- Parameters: shards, lanes, keys and starts (four arrays of one length; no row of the key is before
--   its start), merge_delay_s
-- Parts: delayed (names of operations)
UPDATE trackrelay_backlog b SET due_at = greatest(
    now() + CASE WHEN b.operation IN ($delayed) THEN make_interval(secs => :merge_delay_s)
        ELSE interval '0' END,
    b.not_before)
FROM unnest(
    CAST(:shards AS int[]), CAST(:lanes AS text[]), CAST(:keys AS text[]), CAST(:starts AS bigint[])
) AS touched (shard, lane, key, start)
CROSS JOIN LATERAL (
    SELECT job_id FROM trackrelay_backlog f
    WHERE f.shard = touched.shard AND f.lane = touched.lane AND f.key = touched.key
        AND f.position >= touched.start
    ORDER BY position LIMIT 1) first
WHERE b.job_id = first.job_id AND b.key = touched.key AND b.due_at IS NULL
