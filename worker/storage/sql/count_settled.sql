-- Count the jobs that were in the streams at a recorded moment and were settled later, at least
-- (`_low`) and at most (`_high`).
--
-- Some settled jobs were enqueued before that moment and were not in a stream: replays, and jobs of
-- the backlog. A replay is known by its dead letter. A job of the backlog is not, and makes the
-- bounds wider. A two-key job counts twice in the upper bound, once for each of its streams.
--
-- Parameters: asked, noted, at (the moment, as in note_streams.sql), count_until
WITH ledger AS (
    SELECT l.other_key, l.delivered_at FROM trackrelay_ledger l
    WHERE l.delivered_at > to_timestamp(:asked) AND l.delivered_at <= to_timestamp(:count_until)
        AND l.enqueued_at <= to_timestamp(:at)
        AND NOT EXISTS (
            SELECT 1 FROM trackrelay_dead_letters d
            WHERE d.job_id = l.id AND d.died_at <= to_timestamp(:asked))),
backlog AS (
    SELECT since FROM trackrelay_backlog
    WHERE since > to_timestamp(:asked) AND since <= to_timestamp(:count_until)
        AND enqueued_at <= to_timestamp(:at) AND NOT replayed),
dead AS (
    SELECT other_key, died_at FROM trackrelay_dead_letters
    WHERE died_at > to_timestamp(:asked) AND died_at <= to_timestamp(:count_until)
        AND enqueued_at <= to_timestamp(:at) AND state <> 'delivered')
SELECT
    (SELECT count(*) FILTER (WHERE delivered_at > to_timestamp(:noted)) FROM ledger)
        AS delivered_low,
    (SELECT count(*) + count(other_key) FROM ledger) AS delivered_high,
    (SELECT count(*) FILTER (WHERE since > to_timestamp(:noted)) FROM backlog) AS waiting_low,
    (SELECT count(*) FROM backlog) AS waiting_high,
    (SELECT count(*) FILTER (WHERE died_at > to_timestamp(:noted)) FROM dead) AS dead_low,
    (SELECT count(*) + count(other_key) FROM dead) AS dead_high
