-- Record what the streams hold, if that has changed or the record is old.
--
-- `asked` is when this transaction began, before the streams were read; `noted` is when it wrote.
--
-- Parameters: generation, jobs, pending, at (unix seconds by Redis' clock), renew_s
INSERT INTO trackrelay_state (name, value, updated_at)
VALUES ('streams', jsonb_build_object(
    'generation', CAST(:generation AS text),
    'jobs', CAST(:jobs AS bigint),
    'pending', CAST(:pending AS bigint),
    'backlog', EXISTS (SELECT 1 FROM trackrelay_backlog),
    'at', CAST(:at AS float8),
    'asked', extract(epoch FROM now()),
    'noted', extract(epoch FROM clock_timestamp())), clock_timestamp())
ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
WHERE trackrelay_state.value - 'at' - 'asked' - 'noted'
        <> excluded.value - 'at' - 'asked' - 'noted'
    OR trackrelay_state.updated_at < now() - make_interval(secs => :renew_s)
