-- Select the position of the first job that may be tried, for each lane of a shard that is not
-- paused.
--
-- Parameters: shards, lanes and starts (three arrays of one length: where to look, and from which
--   position on), families
-- Parts: is_due
SELECT s.shard, asked.lane, s.next_position, due.position
FROM unnest(CAST(:shards AS int[]), CAST(:lanes AS text[]), CAST(:starts AS bigint[]))
    AS asked (shard, lane, start)
JOIN trackrelay_shards s ON s.shard = asked.shard AND s.paused_at IS NULL
LEFT JOIN LATERAL (
    SELECT min(first.position) AS position
    FROM unnest(CAST(:families AS text[])) AS wanted (family)
    CROSS JOIN LATERAL (
        SELECT position FROM trackrelay_backlog b
        WHERE b.shard = s.shard AND b.lane = asked.lane AND b.family = wanted.family
            AND b.position >= asked.start AND $is_due
        ORDER BY position LIMIT 1) first) due ON true
