-- The counting functions join two transition tables, which have no index: a writer whose session
-- has hash joins switched off for statements of its own would wait for the square of its rows.
ALTER FUNCTION outbound_attempt_count_events() SET enable_hashjoin = on;
ALTER FUNCTION outbound_message_count_events() SET enable_hashjoin = on;
