package audit

import (
	"log/slog"
	"testing"
	"time"
)

// OpenSmall opens an audit whose files are set aside at file bytes.
func OpenSmall(t *testing.T, dir string, file, all int64) *Log {
	t.Helper()
	before := append(books[:0:0], books...)
	for i := range books {
		books[i].bound = bound{age: 400 * day, bytes: all, file: file}
	}
	defer func() { books = before }()
	l, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Age is how long changes are kept.
func Age() time.Duration { return books[changes].age }
