-- What the exporter says and asks about its own session.

-- name: settings
-- Lets the server notice within half a minute that the leader's machine is gone, and within
-- a few refreshes that its process is frozen: the lock of a session that lingers would keep every
-- replica silent. A server that does not know a setting (PostgreSQL 13) goes without.
SELECT set_config(setting.name, wanted.value, false)
FROM (VALUES ('tcp_keepalives_idle', '10'),
             ('tcp_keepalives_interval', '5'),
             ('tcp_keepalives_count', '3'),
             ('idle_session_timeout', %(idle_ms)s::text)) AS wanted (name, value)
JOIN pg_settings AS setting USING (name)

-- name: try_lead
-- The lock of the session that leads among exporters of the same packs.
SELECT pg_try_advisory_lock(%(room)s, %(packs)s)

-- name: leader
-- Who leads.
SELECT activity.pid, coalesce(host(activity.client_addr), 'this machine'), activity.application_name
FROM pg_locks AS lock
JOIN pg_stat_activity AS activity USING (pid)
WHERE lock.locktype = 'advisory' AND lock.granted
  AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND lock.classid = %(room)s::bigint::oid
  AND lock.objid = (%(packs)s::bigint & 4294967295)::oid

-- name: begin
-- Begins the snapshot. Says whether the server is a replica and by how many seconds it lags: equal
-- positions mean no lag only while something arrives, since a replica that is cut off has replayed
-- all that it received, too. One that has replayed nothing yet lags at least since it started.
-- A process that freezes in here holds a snapshot, and perhaps the lead. Big tables tempt the planner
-- to start workers and to compile for branches that are never taken, at a cost above all queries'.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL lock_timeout = %(lock_timeout_ms)s;
SET LOCAL idle_in_transaction_session_timeout = %(idle_ms)s;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off;
SAVEPOINT snapshot;
SELECT pg_is_in_recovery(),
       CASE WHEN NOT pg_is_in_recovery() THEN 0
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                 AND EXISTS (SELECT FROM pg_stat_wal_receiver) THEN 0
            ELSE greatest(0, extract(epoch FROM clock_timestamp()
                     - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time())))
       END::float8

-- name: limit
-- How long the next queries may take.
SET LOCAL statement_timeout = %(timeout_ms)s

-- name: go_back
-- After an error: to the beginning of the snapshot, which all queries share, since they only read.
ROLLBACK TO SAVEPOINT snapshot
