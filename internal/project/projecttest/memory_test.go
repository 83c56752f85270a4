package projecttest_test

import (
	"testing"

	"havre/internal/project"
	"havre/internal/project/projecttest"
)

func TestMemoryKeepsThePromise(t *testing.T) {
	projecttest.RunRecords(t, func(*testing.T) project.Records { return &projecttest.Memory{} })
}
