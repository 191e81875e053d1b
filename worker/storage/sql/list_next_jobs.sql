-- Select the first jobs of keys, the oldest first: those that are tried next. Each shard, lane and
-- family is read along the index of due rows, so this takes no longer with a large backlog.
--
-- Parameters: limit, lanes, families, reasons (NULL allows any)
-- Parts: columns, due_at, event_name
WITH chosen AS (
    SELECT first.* FROM trackrelay_shards s
    CROSS JOIN unnest(CAST(:lanes AS text[])) AS lane
    CROSS JOIN unnest(CAST(:families AS text[])) AS family
    CROSS JOIN LATERAL (
        SELECT job_id, key, enqueued_at FROM trackrelay_backlog f
        WHERE f.shard = s.shard AND f.lane = lane.lane AND f.family = family.family
            AND f.due_at IS NOT NULL AND f.sends
            AND (CAST(:reasons AS text[]) IS NULL OR f.reason = ANY(CAST(:reasons AS text[])))
        ORDER BY f.position LIMIT :limit) first
    ORDER BY enqueued_at, job_id LIMIT :limit)
SELECT $columns, $event_name AS event_name, $due_at AS due_at
FROM chosen JOIN trackrelay_backlog b USING (job_id, key)
ORDER BY b.enqueued_at, b.job_id
