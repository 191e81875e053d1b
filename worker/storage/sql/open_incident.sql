-- Record a loss of jobs, with the latest record of what the streams held. After a rollback of Redis
-- that record says nothing: its jobs may still be there.
--
-- Parameters: kind, generation, settling_s (how long a holder may still settle what it has read)
INSERT INTO trackrelay_incidents (
    kind, generation, since, until, count_until, streams, at_most)
SELECT CAST(:kind AS text), CAST(:generation AS text), note.updated_at, clock_timestamp(),
    clock_timestamp() + make_interval(secs => :settling_s), note.value,
    CAST(note.value ->> 'jobs' AS bigint)
FROM (SELECT 1) AS one
LEFT JOIN trackrelay_state AS note
    ON note.name = 'streams' AND note.value ->> 'generation' = :generation
    AND :kind <> 'rolled_back'
RETURNING id
