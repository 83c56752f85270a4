package store

import (
	"path/filepath"
	"testing"
)

// A power cut takes what the disk has not got. In WAL only FULL (2) flushes
// with each commit (sqlite.org/pragma.html#pragma_synchronous). No test can cut
// the power, so this one asks every connection what it does.
func TestEachAnswerIsOnTheDisk(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "havre.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range s.db.Stats().MaxOpenConnections {
		c, err := s.db.Conn(t.Context()) // kept, so that the next is another one
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			var got string
			if err := c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
			}
		}
	}
}
