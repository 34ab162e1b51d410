-- What would go into the archive, or out of it.

-- name: outbox
SELECT m.channel, m.error_code, min(m.created_at), count(*)
  FROM outbound_message AS m
 WHERE m.id = ANY (%(ids)s)
 GROUP BY 1, 2
 ORDER BY 4 DESC, 1, 2

-- name: archive
SELECT a.channel, a.error_code, min(a.created_at), count(*)
  FROM outbound_message_archive AS a
 WHERE a.id = ANY (%(ids)s)
 GROUP BY 1, 2
 ORDER BY 4 DESC, 1, 2
