// Package store remembers. It is the only place that speaks SQL. What it has
// acknowledged survives a kill at any time: one transaction a change, flushed
// to the disk before it answers.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // the driver registers itself by name
	sqlite3 "modernc.org/sqlite/lib"

	"havre/internal/problem"
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
//
// Errors: Unavailable when the disk is full; then nothing is changed.
func (s *Store) within(ctx context.Context, do func(*sql.Tx) error) error {
	return explain(s.transact(ctx, do))
}

func (s *Store) transact(ctx context.Context, do func(*sql.Tx) error) error {
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

// explain makes a full disk, which a person can mend, a problem.
func explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE:
		return problem.New(problem.Unavailable, "the disk with Havre's database is full, so nothing can be changed; what runs goes on").
			Because(err).With("make room and do it again; see what takes it with: sudo havre doctor")
	}
	return err
}
