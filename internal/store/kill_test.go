package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"havre/internal/store"
)

// writing names the database that a child of the test writes to.
const writing = "HAVRE_TEST_WRITING"

func TestMain(m *testing.M) {
	if file := os.Getenv(writing); file != "" {
		fmt.Println(write(context.Background(), file))
		os.Exit(1)
	}
	if file := os.Getenv(telling); file != "" {
		fmt.Println(tell(context.Background(), file))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// write saves one record again and again, and prints each version that was
// acknowledged. It ends only by an error, or by a kill.
func write(ctx context.Context, file string) error {
	s, err := store.Open(ctx, file)
	if err != nil {
		return err
	}
	r := record("shop")
	for {
		if err := s.SaveProject(ctx, r); err != nil {
			return err
		}
		r.Version++
		fmt.Println(r.Version)
	}
}

// Promise 2: what was answered with success survives kill -9.
func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "havre.db")
	for round := range 3 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), writing+"="+file)
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		acknowledged := 0
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			n, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
			if err != nil {
				t.Errorf("the writer says %s", lines.Text())
				break
			}
			if acknowledged = n; n == 5+3*round {
				_ = c.Process.Kill() // what it wrote until then is read on
			}
		}
		_ = c.Wait() // killed, as it should
		s := open(t, file)
		got, err := s.Project(t.Context(), "prod", "shop")
		if err != nil || got.Version < acknowledged || acknowledged < 5+3*round {
			t.Fatalf("version %d of %d acknowledged, %v", got.Version, acknowledged, err)
		}
		if err := s.ForgetProject(t.Context(), got.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
