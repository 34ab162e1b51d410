-- One block per query: a line '-- name: …', comments, and one statement that reads.

-- name: sessions
-- The sessions on this database by state; whatever is neither active nor idle is 'other'.
SELECT CASE WHEN state IN ('active', 'idle') THEN state ELSE 'other' END AS state,
       count(*) AS sessions
FROM pg_stat_activity
WHERE datname = current_database()
GROUP BY 1

-- name: transactions
-- Ended transactions since the server's statistics were last reset.
SELECT 'committed' AS outcome, xact_commit AS transactions
FROM pg_stat_database WHERE datname = current_database()
UNION ALL
SELECT 'rolled_back', xact_rollback
FROM pg_stat_database WHERE datname = current_database()
