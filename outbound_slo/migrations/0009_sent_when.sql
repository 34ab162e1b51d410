-- In no transaction: each statement can be repeated.
--
-- Who got a message within a moving day (exporter: unique recipients) is asked by sent_at. Built
-- beside the writers: on ten million messages a plain CREATE INDEX would hold up all sending.

-- name: drop_what_a_cut_short_build_left
DROP INDEX CONCURRENTLY IF EXISTS idx_outbound_message_sent

-- name: build
CREATE INDEX CONCURRENTLY idx_outbound_message_sent ON outbound_message (sent_at)
    WHERE channel = 'WHATSAPP' AND sent_at IS NOT NULL

-- name: drop_what_a_cut_short_build_left_for_replies
DROP INDEX CONCURRENTLY IF EXISTS idx_message_whatsapp_from

-- name: build_for_replies
CREATE INDEX CONCURRENTLY idx_message_whatsapp_from ON message (org_id, from_address, created_at)
    WHERE channel = 'WHATSAPP' AND direction = 'INBOUND'
