-- What the database says about the tables that a query needs.

-- name: relation
-- Whether a table or view is there, and whether this role may read it.
SELECT to_regclass(%(name)s) IS NOT NULL AS there,
       CASE WHEN to_regclass(%(name)s) IS NOT NULL
            THEN has_table_privilege(to_regclass(%(name)s), 'SELECT') END AS readable
