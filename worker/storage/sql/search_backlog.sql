-- Select the latest jobs that match, and the first job of each key that matches, however old it is:
-- the others of its key wait for it.
--
-- Parameters: ids, keys, idempotency_key, limit
-- Parts: matches, columns, due_at
WITH matched AS (
    SELECT job_id, key, position, due_at, enqueued_at FROM trackrelay_backlog WHERE $matches),
chosen AS (
    (SELECT job_id FROM matched GROUP BY job_id
     ORDER BY max(enqueued_at) DESC, job_id DESC LIMIT :limit)
    UNION
    (SELECT job_id FROM matched WHERE due_at IS NOT NULL ORDER BY position LIMIT :limit))
SELECT DISTINCT ON (b.job_id) $columns, $due_at AS due_at,
    (SELECT count(*) FROM trackrelay_backlog f
     WHERE f.shard = b.shard AND f.lane = b.lane AND f.key = b.key AND f.position < b.position)
        AS ahead,
    (SELECT count(DISTINCT job_id) FROM matched) AS total
FROM chosen JOIN matched m USING (job_id)
JOIN trackrelay_backlog b ON b.job_id = m.job_id AND b.key = m.key
ORDER BY b.job_id, sends DESC
