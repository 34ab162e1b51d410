-- What senders say of themselves.

-- name: beat
-- This process as it stands. A worker's name comes back where hostnames and process ids do, so all of
-- the row is new. Others are forgotten a day after they were last seen.
WITH forgotten AS (
    DELETE FROM outbound_sender
     WHERE seen_at < now() - interval '1 day' AND worker <> %(worker)s
)
INSERT INTO outbound_sender AS known
       (worker, version, started_at, seen_at, claiming, in_flight, breakers)
VALUES (%(worker)s, %(version)s, now() - %(uptime_s)s * interval '1 second', now(), %(claiming)s,
        %(in_flight)s, %(breakers)s)
ON CONFLICT (worker) DO UPDATE
   SET version = EXCLUDED.version,
       started_at = EXCLUDED.started_at,
       seen_at = EXCLUDED.seen_at,
       claiming = EXCLUDED.claiming,
       in_flight = EXCLUDED.in_flight,
       breakers = EXCLUDED.breakers

-- name: sign_off
-- A sender that stops in order is missed by nobody.
DELETE FROM outbound_sender WHERE worker = %(worker)s
