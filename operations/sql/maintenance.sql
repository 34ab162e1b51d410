-- Database maintenance (001): what tables, indexes and other sessions look like. Only catalogues and
-- statistics are read, never the tables themselves. A table is looked up along the search path.

-- name: tables
-- Sizes in bytes, rows as the statistics have them, ages in seconds and transactions.
SELECT wanted.name,
       pg_total_relation_size(c.oid) AS total_bytes,
       pg_table_size(c.oid) AS table_bytes,
       pg_indexes_size(c.oid) AS index_bytes,
       COALESCE(s.n_live_tup, 0) AS live_rows,
       COALESCE(s.n_dead_tup, 0) AS dead_rows,
       GREATEST(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,
       GREATEST(s.last_analyze, s.last_autoanalyze) AS analyzed_at,
       age(c.relfrozenxid)::bigint AS frozen_age,
       COALESCE((SELECT substr(o, 27)::bigint FROM unnest(c.reloptions) AS o
                  WHERE o LIKE 'autovacuum_freeze_max_age=%%'),
                current_setting('autovacuum_freeze_max_age')::bigint) AS freeze_max_age
  FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, place)
  JOIN pg_class AS c ON c.oid = to_regclass(wanted.name) AND c.relkind = 'r'
  LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
 ORDER BY pg_total_relation_size(c.oid) DESC, wanted.place

-- name: transactions
-- Sessions whose snapshot or transaction keeps dead rows of this database from being removed. Never
-- their statements: those name recipients.
SELECT pid, COALESCE(NULLIF(application_name, ''), backend_type) AS application,
       COALESCE(usename, '') AS role, COALESCE(state, '') AS state,
       EXTRACT(EPOCH FROM now() - COALESCE(xact_start, query_start, backend_start))::float8 AS age_s,
       GREATEST(age(backend_xmin), age(backend_xid))::bigint AS transactions_behind
  FROM pg_stat_activity
 WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
   AND pid <> pg_backend_pid()
   AND (datname = current_database() OR backend_type = 'walsender')
   -- Nothing is held back by a vacuum's own snapshot.
   AND backend_type <> 'autovacuum worker'
 ORDER BY transactions_behind DESC, pid

-- name: prepared
SELECT gid, owner::text AS role, EXTRACT(EPOCH FROM now() - prepared)::float8 AS age_s,
       age(transaction)::bigint AS transactions_behind
  FROM pg_prepared_xacts
 WHERE database = current_database()
 ORDER BY prepared, gid

-- name: slots
-- Replication slots that hold back vacuum: by a standby's snapshot, or by logical decoding.
SELECT slot_name AS name, active, GREATEST(age(xmin), age(catalog_xmin))::bigint AS transactions_behind
  FROM pg_replication_slots
 WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
 ORDER BY slot_name

-- name: indexes
-- Indexes of the named tables and of their TOAST tables.
SELECT wanted.name AS table_name, i.relname AS index_name, n.nspname AS schema_name,
       pg_relation_size(i.oid) AS bytes,
       COALESCE(s.idx_scan, 0) AS scans,
       COALESCE(s.idx_tup_read, 0) AS rows_read,
       x.indisvalid AND x.indisready AS valid,
       x.indisunique AS unique,
       EXISTS (SELECT FROM pg_stat_progress_create_index AS p
                WHERE p.relid = c.oid) AS building,
       n.nspname LIKE 'pg\_toast%%' AS toast
  FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, place)
  JOIN pg_class AS c ON c.oid = to_regclass(wanted.name) AND c.relkind = 'r'
  JOIN pg_index AS x ON x.indrelid IN (c.oid, c.reltoastrelid)
  JOIN pg_class AS i ON i.oid = x.indexrelid
  JOIN pg_namespace AS n ON n.oid = i.relnamespace
  LEFT JOIN pg_stat_all_indexes AS s ON s.indexrelid = i.oid
 ORDER BY wanted.place, toast, scans DESC, i.relname

-- name: statistics_since
-- Since when scans are counted; NULL: since the database was made.
SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()

-- name: applied
SELECT component, number FROM outbound_slo_migration

-- name: locate
-- Schema, sizes in bytes and dead rows of one table.
SELECT n.nspname AS schema_name, pg_table_size(c.oid) AS table_bytes,
       pg_indexes_size(c.oid) AS index_bytes,
       COALESCE(pg_stat_get_dead_tuples(c.oid), 0) AS dead_rows
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.oid = to_regclass(%(name)s)

-- name: vacuum_progress
-- How far a VACUUM of another session is.
SELECT phase, heap_blks_scanned::float8 / NULLIF(heap_blks_total, 0) AS share
  FROM pg_stat_progress_vacuum
 WHERE pid = %(pid)s

-- name: reindex_progress
SELECT phase,
       CASE WHEN blocks_total > 0 THEN blocks_done::float8 / blocks_total
            WHEN lockers_total > 0 THEN lockers_done::float8 / lockers_total END AS share
  FROM pg_stat_progress_create_index
 WHERE pid = %(pid)s
