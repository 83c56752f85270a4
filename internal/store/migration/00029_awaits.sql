-- +goose Up
ALTER TABLE project ADD COLUMN awaits TEXT NOT NULL DEFAULT 'null'; -- JSON of []project.Await

-- +goose Down
ALTER TABLE project DROP COLUMN awaits;
