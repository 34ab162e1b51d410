-- How the database itself does: what keeps dead rows, which tables wait for vacuum, whether replicas
-- keep up, and whether rows contradict each other. Only catalogues, statistics and a bounded number of
-- rows are read. Columns that a role without pg_read_all_stats sees empty give no number, never a zero.

-- name: snapshots
-- The oldest transaction of this database that keeps dead rows from being removed, and the oldest
-- prepared one. Left out: a vacuum, which holds nothing back, our own snapshot, and walsenders, whose
-- transactions go on but not the time at which they began.
SELECT 'transaction' AS holder,
       CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE')
            THEN COALESCE(GREATEST(EXTRACT(EPOCH FROM now() - min(xact_start)), 0), 0) END AS seconds
  FROM pg_stat_activity AS a
 WHERE datname = current_database()
   AND pid <> pg_backend_pid()
   AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
   AND backend_type NOT IN ('autovacuum worker', 'walsender')
   AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS v
                    WHERE v.pid = COALESCE(a.leader_pid, a.pid))
UNION ALL
SELECT 'prepared', COALESCE(GREATEST(EXTRACT(EPOCH FROM now() - min(prepared)), 0), 0)
  FROM pg_prepared_xacts
 WHERE database = current_database()

-- name: upkeep
-- Tables that change with every message or webhook. The frozen age counts transactions and multixacts
-- (rows that several sessions locked together), of the table and of its TOAST table: 1 is where
-- autovacuum stops being optional.
SELECT wanted.name AS "table",
       EXTRACT(EPOCH FROM now() - GREATEST(s.last_vacuum, s.last_autovacuum)) AS vacuum_age,
       COALESCE(s.n_dead_tup, 0) AS dead_rows,
       COALESCE(s.n_dead_tup::float8 / NULLIF(s.n_dead_tup + s.n_live_tup, 0), 0) AS dead_share,
       (SELECT max(GREATEST(
                   age(part.relfrozenxid)::float8 / LEAST(
                       o.freeze_max_age, current_setting('autovacuum_freeze_max_age')::bigint),
                   mxid_age(part.relminmxid)::float8 / LEAST(
                       o.multixact_freeze_max_age,
                       current_setting('autovacuum_multixact_freeze_max_age')::bigint)))
          FROM pg_class AS part
         CROSS JOIN LATERAL (
               SELECT max(option_value::bigint) FILTER (
                          WHERE option_name = 'autovacuum_freeze_max_age') AS freeze_max_age,
                      max(option_value::bigint) FILTER (
                          WHERE option_name = 'autovacuum_multixact_freeze_max_age')
                          AS multixact_freeze_max_age
                 FROM pg_options_to_table(part.reloptions)) AS o
         WHERE part.oid IN (c.oid, c.reltoastrelid)) AS frozen_age
  FROM (VALUES ('outbound_message'), ('outbound_attempt'), ('provider_webhook'),
               ('whatsapp_rate_limit'), ('outbound_message_delta'), ('outbound_event_delta'))
       AS wanted (name)
  JOIN pg_class AS c ON c.oid = to_regclass(wanted.name) AND c.relkind = 'r'
  LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid

-- name: replicas
-- Lag of replay by the replica's name, the largest where several have one name. A replica that has
-- replayed all there is does not lag, however long ago it was last measured; backups that stream
-- replay nothing.
SELECT application_name AS replica,
       max(CASE WHEN replay_lsn >= pg_current_wal_lsn() THEN 0
                ELSE GREATEST(COALESCE(EXTRACT(EPOCH FROM replay_lag), 0), 0) END) AS seconds
  FROM pg_stat_replication
 WHERE state IN ('catchup', 'streaming') AND replay_lsn IS NOT NULL
 GROUP BY application_name

-- name: slots
-- What each slot keeps on the primary's disk. One that was given up keeps nothing any more.
SELECT slot_name AS slot, active::text AS active,
       GREATEST(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0) AS bytes
  FROM pg_replication_slots
 WHERE NOT temporary AND restart_lsn IS NOT NULL

-- name: integrity
-- What no statement of the runbooks, of an operator or of a sender can bring about while the indexes
-- and foreign keys that forbid it are sound. Grouping by an expression reads rows as they are: an
-- index that lost its order, as after a change of the system's collations, would hide its own fault.
-- LIMIT keeps each look at another table a probe of its key.
SELECT 'checksum_failures' AS "check", sum(checksum_failures) AS violations
  FROM pg_stat_database
 WHERE datname = current_database() OR datid = 0
UNION ALL
-- Two messages in flight to one recipient (D19).
SELECT 'duplicate_in_flight', count(*)
  FROM (SELECT FROM outbound_message
         WHERE status = 'SENDING'
         GROUP BY channel || to_recipient
        HAVING count(*) > 1) AS twice
UNION ALL
-- Of the newest messages those that share their id or their idempotency key.
SELECT 'duplicate_keys',
       GREATEST(count(*) - count(DISTINCT id),
                count(idempotency_key) - count(DISTINCT idempotency_key || ''))
  FROM (SELECT id, idempotency_key FROM outbound_message ORDER BY id DESC LIMIT 1000) AS newest
UNION ALL
-- Of the newest attempts those without their message.
SELECT 'orphaned_attempts', count(*) FILTER (WHERE m.found IS NULL)
  FROM (SELECT outbound_message_id FROM outbound_attempt ORDER BY id DESC LIMIT 1000) AS a
  LEFT JOIN LATERAL (
       SELECT true AS found FROM outbound_message
        WHERE id = a.outbound_message_id
        LIMIT 1) AS m ON true
UNION ALL
-- A claim writes both in one statement. Who sends without our claim leaves attempt_seq at 0.
SELECT 'sending_without_attempt', count(*) FILTER (WHERE a.found IS NULL)
  FROM outbound_message AS m
  LEFT JOIN LATERAL (
       SELECT true AS found FROM outbound_attempt
        WHERE outbound_message_id = m.id AND attempt_no = m.attempt_seq
        LIMIT 1) AS a ON true
 WHERE m.status = 'SENDING' AND m.attempt_seq > 0
