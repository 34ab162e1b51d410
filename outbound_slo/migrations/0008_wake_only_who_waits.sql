-- Most messages have no follower. Looking for one before anything is updated spares each settlement
-- an UPDATE of no row, for which every statement trigger of the table is called.
CREATE OR REPLACE FUNCTION outbound_message_wake_follower() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    follower bigint;
BEGIN
    SELECT id INTO follower
      FROM outbound_message
     WHERE status = 'QUEUED' AND turn = 'PARKED'
       AND channel = OLD.channel AND to_recipient = OLD.to_recipient
     ORDER BY priority, id
     LIMIT 1
       FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE outbound_message SET turn = 'WOKEN' WHERE id = follower;
    END IF;
    RETURN NULL;
END
$$;
