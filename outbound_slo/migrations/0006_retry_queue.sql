-- What waits for another attempt, for 000's diagnostics: few rows among many that wait for their
-- first, so it is kept only where attempts are used.
CREATE INDEX idx_outbound_message_retry ON outbound_message (due_at, id)
    WHERE status = 'QUEUED' AND attempt_count > 0;
