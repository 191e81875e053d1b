-- Select the oldest jobs that match. A job with two keys has two rows, of which the one that sends
-- it counts.
--
-- Parameters: limit, and those of the conditions
-- Parts: conditions, columns, due_at, event_name
WITH matched AS (
    SELECT job_id, key, enqueued_at FROM trackrelay_backlog WHERE sends AND $conditions),
chosen AS (SELECT job_id, key FROM matched ORDER BY enqueued_at, job_id LIMIT :limit)
SELECT $columns, $event_name AS event_name, $due_at AS due_at,
    (SELECT count(*) FROM matched) AS total
FROM chosen JOIN trackrelay_backlog b USING (job_id, key)
ORDER BY b.enqueued_at, b.job_id
