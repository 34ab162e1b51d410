-- What waits for a sender, on tables of one's own: whatever is queued and due. Turns, pauses and the
-- instant at which a quota was freed are this project's; an outbox that `db migrate` has made brings a
-- view of this name that knows them. Without either, ages and stuck messages would be missing.

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

DO $$
BEGIN
    IF to_regclass('outbound_message_waiting') IS NULL
       AND NOT EXISTS (SELECT FROM outbound_slo_migration WHERE component = 'outbound_slo') THEN
        CREATE VIEW outbound_message_waiting AS
        SELECT id, org_id, channel, 'OPEN'::text AS turn, attempt_count, updated_at, due_at, due_since
          FROM outbound_message
         WHERE status = 'QUEUED' AND due_at <= now();
        -- By this `rollup remove` knows it for its own.
        COMMENT ON VIEW outbound_message_waiting IS 'Made by outbound-slo exporter rollup install';
    END IF;
END
$$;
