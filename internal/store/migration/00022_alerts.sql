-- +goose Up
CREATE TABLE alert (
	name TEXT PRIMARY KEY,
	made TEXT NOT NULL -- JSON of alert.Alert
);
CREATE TABLE silence (
	name  TEXT PRIMARY KEY,
	until TEXT NOT NULL -- RFC 3339, UTC
);
CREATE TABLE notice (
	id    INTEGER PRIMARY KEY AUTOINCREMENT, -- receivers know repetitions by it
	made  TEXT NOT NULL, -- JSON of alert.Notice
	tries INTEGER NOT NULL,
	next  TEXT NOT NULL -- RFC 3339, UTC: not before
);

-- +goose Down
DROP TABLE notice;
DROP TABLE silence;
DROP TABLE alert;
