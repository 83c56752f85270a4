-- +goose Up
ALTER TABLE project ADD COLUMN links TEXT NOT NULL DEFAULT 'null'; -- JSON of []project.LinkNet

-- +goose Down
ALTER TABLE project DROP COLUMN links;
