-- +goose Up
CREATE TABLE secret (
	version     TEXT PRIMARY KEY, -- fingerprint of the value in its place
	environment TEXT NOT NULL,
	project     TEXT NOT NULL,    -- its id; '' is the environment's own
	name        TEXT NOT NULL,
	sealed      BLOB NOT NULL,    -- the value, encrypted
	created     INTEGER NOT NULL, -- Unix seconds; when it was kept last
	current     INTEGER NOT NULL  -- 1: what the environment's name means
);
CREATE UNIQUE INDEX secret_current ON secret (environment, name) WHERE current = 1;

-- +goose Down
DROP TABLE secret;
