-- name: add_trace
-- A late span finds its trace already there.
INSERT INTO trace (trace_id, received_s) VALUES (:trace_id, :received_s)
ON CONFLICT (trace_id) DO NOTHING;

-- name: find_trace
SELECT trace FROM trace WHERE trace_id = :trace_id;

-- name: add_operation
INSERT INTO operation (service, name, kind) VALUES (:service, :name, :kind)
ON CONFLICT (service, name, kind) DO NOTHING;

-- name: find_operation
SELECT operation FROM operation WHERE service = :service AND name = :name AND kind = :kind;

-- name: add_origin
INSERT INTO origin (body) VALUES (:body) ON CONFLICT (body) DO NOTHING;

-- name: find_origin
SELECT origin FROM origin WHERE body = :body;

-- name: next_span
SELECT coalesce(max(span), 0) + 1 FROM span;

-- name: add_span
INSERT INTO span (span, trace, span_id, operation, origin, start_ns, duration_ns, body)
VALUES (:span, :trace, :span_id, :operation, :origin, :start_ns, :duration_ns, :body);

-- name: add_tag
-- One key may stand twice on a span with the same value.
INSERT INTO span_tag (tag, span) VALUES (:tag, :span) ON CONFLICT DO NOTHING;

-- name: spans_of_trace
SELECT span.body, origin.body AS origin_body
FROM trace
JOIN span ON span.trace = trace.trace
JOIN origin ON origin.origin = span.origin
WHERE trace.trace_id = :trace_id;

-- name: tag_frequency
-- Counting stops at the limit: only which tag is rarest matters.
SELECT count(*) FROM (SELECT 1 FROM span_tag WHERE tag = :tag LIMIT :limit);

-- name: spans_by_tag
-- Newest first; the reader stops when it has enough traces.
SELECT trace.trace_id, span.body
FROM span_tag
JOIN span ON span.span = span_tag.span
JOIN operation ON operation.operation = span.operation
JOIN trace ON trace.trace = span.trace
WHERE span_tag.tag = :tag
    AND (:service IS NULL OR operation.service = :service)
    AND (:name IS NULL OR operation.name = :name)
    AND span.start_ns BETWEEN :start_min_ns AND :start_max_ns
    AND span.duration_ns BETWEEN :duration_min_ns AND :duration_max_ns
ORDER BY span_tag.span DESC;

-- name: spans_by_operation
-- Newest first within one operation; the reader merges operations.
SELECT trace.trace_id, span.start_ns
FROM span
JOIN trace ON trace.trace = span.trace
WHERE span.operation = :operation
    AND span.start_ns BETWEEN :start_min_ns AND :start_max_ns
    AND span.duration_ns BETWEEN :duration_min_ns AND :duration_max_ns
ORDER BY span.start_ns DESC;

-- name: operations
SELECT operation, service, name, kind FROM operation
WHERE (:service IS NULL OR service = :service) AND (:name IS NULL OR name = :name)
ORDER BY service, name, kind;

-- name: services
SELECT DISTINCT service FROM operation ORDER BY service;

-- name: size
-- Bytes in use: freed pages are used again, so they do not count.
SELECT (page_count - freelist_count) * page_size
FROM pragma_page_count, pragma_freelist_count, pragma_page_size;

-- name: oldest_traces
SELECT trace FROM trace ORDER BY trace LIMIT :traces;

-- name: expired_traces
-- Rows are in order of arrival, so this reads from the old end only.
SELECT trace FROM trace WHERE received_s < :before_s ORDER BY trace LIMIT :traces;

-- name: spans_held
SELECT span, span_id, body FROM span WHERE trace = :trace;

-- name: forget_tag
DELETE FROM span_tag WHERE tag = :tag AND span = :span;

-- name: forget_span
DELETE FROM span WHERE span = :span;

-- name: forget_trace
DELETE FROM trace WHERE trace = :trace;

-- name: totals
SELECT (SELECT count(*) FROM trace) AS traces, (SELECT count(*) FROM span) AS spans;

-- name: count_origins
SELECT count(*) FROM origin;

-- name: forget_unused_origins
DELETE FROM origin WHERE origin NOT IN (SELECT origin FROM span);
