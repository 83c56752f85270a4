package store_test

import (
	"path/filepath"
	"testing"

	"havre/internal/project"
	"havre/internal/project/projecttest"
)

func TestStoreKeepsThePromise(t *testing.T) {
	projecttest.RunRecords(t, func(t *testing.T) project.Records {
		return open(t, filepath.Join(t.TempDir(), "havre.db"))
	})
}
