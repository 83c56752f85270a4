-- +goose Up
CREATE TABLE setting (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
);
CREATE TABLE project (
	id          TEXT PRIMARY KEY,
	environment TEXT NOT NULL,
	name        TEXT NOT NULL,
	subnet      TEXT NOT NULL,
	removed     INTEGER NOT NULL,
	version     INTEGER NOT NULL,
	declared    TEXT NOT NULL, -- JSON of spec.Project
	UNIQUE (environment, name)
);
CREATE TABLE service (
	id      TEXT PRIMARY KEY,
	project TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
	name    TEXT NOT NULL,
	stopped INTEGER NOT NULL,
	removed INTEGER NOT NULL,
	active  INTEGER NOT NULL,
	target  INTEGER NOT NULL,
	UNIQUE (project, name)
);
CREATE TABLE rollout (
	service TEXT NOT NULL REFERENCES service (id) ON DELETE CASCADE,
	number  INTEGER NOT NULL,
	state   TEXT NOT NULL,
	image   TEXT NOT NULL, -- its id
	made    TEXT NOT NULL, -- JSON of project.Rollout
	PRIMARY KEY (service, number)
);

-- +goose Down
DROP TABLE rollout;
DROP TABLE service;
DROP TABLE project;
DROP TABLE setting;
