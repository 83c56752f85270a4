-- +goose Up
CREATE TABLE event (
	id   INTEGER PRIMARY KEY AUTOINCREMENT, -- a number is never given twice
	time TEXT NOT NULL, -- RFC 3339, UTC
	made TEXT NOT NULL  -- JSON of api.Event
);
CREATE INDEX event_time ON event (time);

-- +goose Down
DROP TABLE event;
