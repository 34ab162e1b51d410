-- What a backup holds, asked in one snapshot that pg_dump shares.

-- name: export
SELECT pg_export_snapshot(), now()

-- name: locate
-- Schema and name of the tables that are here, with their size without indexes in bytes, and about how
-- many rows they have.
SELECT n.nspname AS schema_name, c.relname AS name, pg_table_size(c.oid) AS bytes,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint
            ELSE pg_stat_get_live_tuples(c.oid) END AS about
  FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, place)
  JOIN pg_class AS c ON c.oid = to_regclass(wanted.name)
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 ORDER BY wanted.place

-- name: newest_migrations
SELECT DISTINCT ON (component) component, name
  FROM outbound_slo_migration
 ORDER BY component, number DESC
