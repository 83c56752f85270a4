package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"havre/internal/alert"
)

// mostNotices wait at once; older ones go, so that a channel that is dead for
// good fills no disk.
const mostNotices = 1000

// Alerts gives what is wrong, and the silences that have not ended by now.
func (s *Store) Alerts(ctx context.Context, now time.Time) ([]alert.Alert, []alert.Silence, error) {
	var alerts []alert.Alert
	var silences []alert.Silence
	err := s.each(ctx, `SELECT made FROM alert ORDER BY name`, nil, func(rows *sql.Rows) error {
		var text []byte
		var a alert.Alert
		if err := rows.Scan(&text); err != nil {
			return err
		}
		err := json.Unmarshal(text, &a)
		alerts = append(alerts, a)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read alerts: %w", err)
	}
	err = s.each(ctx, `SELECT name, until FROM silence WHERE until > ? ORDER BY name`, []any{moment(now)}, func(rows *sql.Rows) error {
		var si alert.Silence
		var until string
		if err := rows.Scan(&si.Name, &until); err != nil {
			return err
		}
		var err error
		si.Until, err = time.Parse(time.RFC3339Nano, until)
		silences = append(silences, si)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read silences: %w", err)
	}
	return alerts, silences, nil
}

func (s *Store) each(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// SaveVerdict keeps what a judgement came to: all of it or nothing.
func (s *Store) SaveVerdict(ctx context.Context, v alert.Verdict) error {
	err := s.within(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM alert`); err != nil {
			return err
		}
		for _, a := range v.Alerts {
			text, err := json.Marshal(a)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO alert (name, made) VALUES (?, ?)`, a.Name, text); err != nil {
				return err
			}
		}
		for _, e := range v.Events {
			if err := addEvent(ctx, tx, e); err != nil {
				return err
			}
		}
		for _, n := range v.Notices {
			if err := addNotice(ctx, tx, n); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM notice WHERE id <= (SELECT MAX(id) FROM notice) - ?`, mostNotices)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep alerts: %w", err)
	}
	return nil
}

func addNotice(ctx context.Context, tx *sql.Tx, n alert.Notice) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO notice (made, tries, next) VALUES (?, ?, ?)`, text, n.Tries, moment(n.Next))
	return err
}

// Notices gives those that wait, in the order in which they were made.
func (s *Store) Notices(ctx context.Context) ([]alert.Notice, error) {
	var all []alert.Notice
	err := s.each(ctx, `SELECT id, made, tries, next FROM notice ORDER BY id`, nil, func(rows *sql.Rows) error {
		var n alert.Notice
		var id int64
		var text []byte
		var tries int
		var next string
		if err := rows.Scan(&id, &text, &tries, &next); err != nil {
			return err
		}
		if err := json.Unmarshal(text, &n); err != nil {
			return err
		}
		n.ID, n.Tries = id, tries
		var err error
		n.Next, err = time.Parse(time.RFC3339Nano, next)
		all = append(all, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	return all, nil
}

// Delivered forgets a notice.
func (s *Store) Delivered(ctx context.Context, id int64) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM notice WHERE id = ?`, id)
	return err
}

// Postponed has a notice tried again, not before next.
func (s *Store) Postponed(ctx context.Context, id int64, next time.Time) error {
	_, err := s.db.ExecContext(ctx, `UPDATE notice SET tries = tries + 1, next = ? WHERE id = ?`, moment(next), id)
	return err
}

// SaveSilence keeps a silence in place of another of its name. One that has
// ended goes.
func (s *Store) SaveSilence(ctx context.Context, si alert.Silence) error {
	return s.within(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO silence (name, until) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET until = excluded.until`, si.Name, moment(si.Until))
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM silence WHERE until <= ?`, moment(time.Now()))
		}
		return err
	})
}
