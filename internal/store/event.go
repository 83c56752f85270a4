package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"havre/internal/api"
	"havre/internal/event"
)

// So many events are kept, and for so long.
const (
	mostEvents = 10_000
	eventsLife = 90 * 24 * time.Hour
)

const sightSetting = "sight"

// Sight gives the one that was kept last, and whether there is one.
func (s *Store) Sight(ctx context.Context) (event.Sight, bool, error) {
	var sight event.Sight
	var text []byte
	err := s.db.QueryRowContext(ctx, `SELECT value FROM setting WHERE name = ?`, sightSetting).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return sight, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &sight)
	}
	if err != nil {
		return sight, false, fmt.Errorf("read what was seen last: %w", err)
	}
	return sight, true, nil
}

// AddEvents numbers and keeps events, and with them the sight that they led to
// unless it is nil: both or neither. What is too much or too old goes.
func (s *Store) AddEvents(ctx context.Context, events []api.Event, now *event.Sight) error {
	err := s.within(ctx, func(tx *sql.Tx) error {
		for _, e := range events {
			if err := addEvent(ctx, tx, e); err != nil {
				return err
			}
		}
		if len(events) > 0 {
			_, err := tx.ExecContext(ctx, `DELETE FROM event WHERE id <= (SELECT MAX(id) FROM event) - ? OR time < ?`,
				mostEvents, moment(time.Now().Add(-eventsLife)))
			if err != nil {
				return err
			}
		}
		if now == nil {
			return nil
		}
		text, err := json.Marshal(now)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, sightSetting, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep events: %w", err)
	}
	return nil
}

func addEvent(ctx context.Context, tx *sql.Tx, e api.Event) error {
	e.ID = 0 // the row has it
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO event (time, made) VALUES (?, ?)`, moment(e.Time), text)
	return err
}

// moment sorts as text.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

// Events gives those after a number, oldest first, at most limit.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]api.Event, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, made FROM event WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	var events []api.Event
	for rows.Next() {
		var e api.Event
		var id int64
		var text []byte
		if err := rows.Scan(&id, &text); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		if err := json.Unmarshal(text, &e); err != nil {
			return nil, fmt.Errorf("read event %d: %w", id, err)
		}
		e.ID = id
		events = append(events, e)
	}
	return events, rows.Err()
}

// EventRange gives the oldest number that is kept and the newest ever given; 0
// when there is none.
func (s *Store) EventRange(ctx context.Context) (first, last int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT COALESCE((SELECT MIN(id) FROM event), 0), COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)`).Scan(&first, &last)
	if err != nil {
		err = fmt.Errorf("read the range of events: %w", err)
	}
	return first, last, err
}
