// Package store remembers. It is the only place that speaks SQL. What it has
// acknowledged survives a kill at any time: one transaction a change, flushed
// to the disk before it answers.
package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver registers itself by name
)

//go:embed migration/*.sql
var migrations embed.FS

// Store is a database. It may be used by several goroutines at once.
type Store struct {
	db   *sql.DB
	read memory
}

// Open opens the SQLite database in a file, makes it if it is missing, and
// brings its tables up to date. Close it when done.
func Open(ctx context.Context, file string) (*Store, error) {
	// FULL, because WAL's usual NORMAL may lose the last answers in a power cut.
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(5000)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+file+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	db.SetMaxOpenConns(4)
	if err := migrate(ctx, db); err != nil {
		_ = db.Close() // the reason above matters more
		return nil, fmt.Errorf("bring database %s up to date: %w", file, err)
	}
	return &Store{db: db}, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migration")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// Close ends the use of the database.
func (s *Store) Close() error { return s.db.Close() }

// within runs do in a transaction, which is undone when do fails.
func (s *Store) within(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // do's error is the one to tell
		return err
	}
	return tx.Commit()
}
