-- Select for each dead letter and key the latest removal and the latest job that came after it.
--
-- Of two jobs enqueued in the same millisecond, a removal is the later one if it was delivered after
-- the other had died: a removal is settled before a later job of its person is sent.
--
-- Parameters: ids, keys, enqueued, died and asks_newer (five arrays of one length)
-- Parts: searches (a SELECT for each table, key column and kind)
-- Rows: letter, kind ('removal' or 'job'), id, operation, enqueued_at, delivered_at
WITH asked AS (
    SELECT * FROM unnest(
        CAST(:ids AS text[]), CAST(:keys AS text[]), CAST(:enqueued AS float8[]),
        CAST(:died AS float8[]), CAST(:asks_newer AS bool[])
    ) AS row (id, key, enqueued_at, died_at, asks_newer)),
results AS ($searches)
SELECT DISTINCT ON (letter, kind) letter, kind, id, operation,
    CAST(extract(epoch FROM enqueued_at) AS float8) AS enqueued_at,
    CAST(extract(epoch FROM delivered_at) AS float8) AS delivered_at
FROM results
ORDER BY letter, kind, results.enqueued_at DESC, results.delivered_at DESC NULLS LAST
