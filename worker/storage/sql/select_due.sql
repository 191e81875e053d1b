-- Select the jobs of a lane that may be tried now, in order: due first rows, and the rows behind
-- each of them.
--
-- Parameters: shard, lane, start (the lowest position), limit, run and rows_per_key (how many rows
--   of a key follow its first), batched and single (families whose requests carry several jobs, or
--   one), single_keys and single_run (the same limits for the latter), max_bytes
-- Parts: columns, is_due, max_position
WITH batched_firsts AS (
    SELECT key, position FROM unnest(CAST(:batched AS text[])) AS wanted (family)
    CROSS JOIN LATERAL (
        SELECT key, position FROM trackrelay_backlog b
        WHERE shard = :shard AND lane = :lane AND b.family = wanted.family
            AND position >= CAST(:start AS bigint) AND $is_due
        ORDER BY position LIMIT :limit) first
    ORDER BY position LIMIT :limit),
-- Stop at the last of those: without due jobs of these families, the scan would read the whole index.
single_firsts AS (
    SELECT key, position FROM unnest(CAST(:single AS text[])) AS wanted (family)
    CROSS JOIN LATERAL (
        SELECT key, position FROM trackrelay_backlog b
        WHERE shard = :shard AND lane = :lane AND b.family = wanted.family
            AND position >= CAST(:start AS bigint) AND $is_due
            AND position <= (
                SELECT CASE WHEN count(*) < :limit THEN $max_position ELSE max(position) END
                FROM batched_firsts)
        ORDER BY position LIMIT :single_keys) first
    ORDER BY position LIMIT :single_keys),
firsts AS (
    SELECT key, position, least(
        :rows_per_key, greatest(:run, 1 + 2 * :limit / (SELECT count(*) FROM batched_firsts))) AS run
    FROM batched_firsts
    UNION ALL SELECT key, position, :single_run FROM single_firsts),
first_arrays AS (
    SELECT array_agg(key ORDER BY position) AS keys,
        array_agg(position ORDER BY position) AS starts,
        array_agg(run ORDER BY position) AS runs, count(*) AS firsts,
        (SELECT count(*) FROM batched_firsts) < :limit
            AND (SELECT count(*) FROM single_firsts) < :single_keys AS complete
    FROM firsts),
-- Read key by key until there are enough, in an order that Postgres knows in advance. Then it does
-- not read and sort rows that the limit drops.
rows AS (
    SELECT r.*
    FROM unnest(
        (SELECT keys FROM first_arrays), (SELECT starts FROM first_arrays),
        (SELECT runs FROM first_arrays)
    ) WITH ORDINALITY AS first (key, position, run, number)
    CROSS JOIN LATERAL (
        SELECT $columns FROM trackrelay_backlog
        WHERE shard = :shard AND lane = :lane AND key = first.key AND position >= first.position
        ORDER BY position LIMIT first.run) r
    ORDER BY number, r.position LIMIT :limit)
SELECT selected.*, first_arrays.firsts, first_arrays.complete, s.next_position, s.block_version,
    s.plan_version
FROM first_arrays CROSS JOIN trackrelay_shards s
LEFT JOIN (
    SELECT *, sum(octet_length(body)) OVER (ORDER BY position, key) - octet_length(body)
        AS bytes_before
    FROM rows) selected ON bytes_before < :max_bytes
WHERE s.shard = :shard ORDER BY selected.position
