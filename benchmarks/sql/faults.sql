-- The faults that are laid under exporters which ask for `trial`, `seen` and `clock`. Each changes
-- what is true, too: a page that shows what was true before can be told from one that is fresh.

-- name: world
-- What is asked, and who may ask.
CREATE ROLE watcher LOGIN;
CREATE TABLE answer (state text, amount double precision);
CREATE TABLE parcel (id integer);
CREATE FUNCTION dawdle(seconds double precision) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(seconds); RETURN true; END $$;

-- name: whole
-- Everything as it should be; what is true before a fault.
DROP VIEW IF EXISTS trial;
CREATE VIEW trial AS SELECT state, amount AS n FROM answer;
GRANT SELECT ON trial, parcel TO watcher;
TRUNCATE answer, parcel;
INSERT INTO answer VALUES ('new', 2), ('sent', 1);
INSERT INTO parcel SELECT generate_series(1, 30);

-- name: healed
-- Everything as it should be again; what is true after a fault.
DROP VIEW IF EXISTS trial;
CREATE VIEW trial AS SELECT state, amount AS n FROM answer;
GRANT SELECT ON trial, parcel TO watcher;
TRUNCATE answer;
INSERT INTO answer VALUES ('new', 300), ('sent', 1);

-- name: changed
-- Another truth, and no fault.
UPDATE answer SET amount = 20 WHERE state = 'new';

-- name: slow
-- Another truth, which takes a second and a half to tell.
UPDATE answer SET amount = 20 WHERE state = 'new';
CREATE OR REPLACE VIEW trial AS SELECT state, amount AS n FROM answer WHERE (SELECT dawdle(1.5));

-- name: endless
-- An answer that never comes.
CREATE OR REPLACE VIEW trial AS SELECT state, amount AS n FROM answer WHERE (SELECT dawdle(86400));

-- name: revoked
-- Nobody may look.
REVOKE SELECT ON trial FROM watcher;

-- name: renamed
-- The column has another name.
ALTER VIEW trial RENAME COLUMN n TO amount;

-- name: unknown
-- One number is NULL.
UPDATE answer SET amount = NULL WHERE state = 'new';

-- name: empty
-- No rows.
TRUNCATE answer;

-- name: doubled
-- Two rows for one series.
INSERT INTO answer VALUES ('new', 7);

-- name: exploded
-- A hundred thousand label sets.
INSERT INTO answer SELECT 'state-' || n, n FROM generate_series(1, 100000) AS n;

-- name: not_a_number
-- One number is NaN.
UPDATE answer SET amount = 'NaN' WHERE state = 'new';

-- name: purged
-- Rows under a counter are gone.
DELETE FROM parcel WHERE id > 5;
