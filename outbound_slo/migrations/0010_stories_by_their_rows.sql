-- What an attempt's row knows of its story. Its trace gets its ids at the claim, so that a receipt
-- that is quicker than the settlement continues it. Where traces are sampled, the row says whether
-- this one was exported, and how long its steps took if it was not: a failure that a webhook brings
-- later can then still be told from its beginning.
ALTER TABLE outbound_attempt
    -- When the sender wrote what became of it; a receipt may have come before.
    ADD COLUMN settled_at   timestamptz,
    -- Whether its spans were exported; NULL before that is decided.
    ADD COLUMN trace_kept   boolean,
    -- Spans that were not exported: when the attempt began (ns since the epoch, as text, since JSON
    -- numbers lose digits), and by name the ns from there and the ns they took.
    ADD COLUMN trace_stages jsonb;
