-- Which organisations are counted apart.

-- name: is_there
-- Whether the rollup is new enough to count organisations.
SELECT to_regclass('outbound_watched_organisation') IS NOT NULL

-- name: lock
-- One command changes the list at a time, or two could go past its limit together. Writers of
-- messages only read it and do not wait.
LOCK TABLE outbound_watched_organisation IN SHARE ROW EXCLUSIVE MODE

-- name: list
-- Organisations that are watched, and since when.
SELECT org_id, since FROM outbound_watched_organisation ORDER BY org_id

-- name: watch
-- Count these from now on.
INSERT INTO outbound_watched_organisation (org_id) SELECT unnest(%(organisations)s::text[])

-- name: unwatch
-- Count these no longer; what was counted stays.
DELETE FROM outbound_watched_organisation WHERE org_id = ANY (%(organisations)s::text[])

-- name: strangers
-- Those of these organisations that have no message.
SELECT o.org_id
  FROM unnest(%(organisations)s::text[]) AS o (org_id)
 WHERE NOT EXISTS (SELECT FROM outbound_message AS m WHERE m.org_id::text = o.org_id)
 ORDER BY o.org_id
