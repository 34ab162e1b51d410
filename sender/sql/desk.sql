-- Limits of the HTTP face's own transactions.

-- name: bound_transaction
-- Milliseconds that one statement, and one wait for a lock, may take until the transaction ends.
SELECT set_config('statement_timeout', %(statement_ms)s::text, true),
       set_config('lock_timeout', %(lock_ms)s::text, true),
       set_config('transaction_read_only', %(read_only)s, true)
