-- What the database says about what queries need, without running any of them.

-- name: server
-- Who asks, and whom.
SELECT current_setting('server_version') AS version,
       pg_is_in_recovery() AS in_recovery,
       current_user::text AS role,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser

-- name: relation
-- Whether a table or view is there, whether this role may read it, and its columns.
SELECT to_regclass(%(name)s) IS NOT NULL AS there,
       CASE WHEN to_regclass(%(name)s) IS NOT NULL
            THEN has_table_privilege(to_regclass(%(name)s), 'SELECT')
                 OR has_any_column_privilege(to_regclass(%(name)s), 'SELECT') END AS readable,
       coalesce((SELECT array_agg(attname::text) FROM pg_attribute
                 WHERE attrelid = to_regclass(%(name)s) AND attnum > 0 AND NOT attisdropped),
                '{}') AS columns

-- name: privilege
-- Whether this role has a privilege on a table that is there.
SELECT has_table_privilege(to_regclass(%(name)s), %(privilege)s)

-- name: extension
-- Whether an extension is installed in this database.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = %(name)s)

-- name: role
-- Whether this role has a role's rights at once, without SET ROLE; NULL where that is not there.
SELECT (SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = %(name)s)

-- name: index
-- Whether an index is there and finished; NULL where it is not there.
SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%(name)s))

-- name: rows
-- How many rows a table had when it was last analyzed; -1 if it never was.
SELECT coalesce((SELECT reltuples::float8 FROM pg_class WHERE oid = to_regclass(%(name)s)), -1)

-- name: type_name
-- The name of a column's type.
SELECT format_type(%(oid)s, NULL)
