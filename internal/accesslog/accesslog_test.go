package accesslog_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/accesslog"
	"havre/internal/api"
)

const web = "prod.shop.web"

// open runs a book until the test or the returned function ends it.
func open(t *testing.T, dir string, most int64) (*accesslog.Book, func()) {
	t.Helper()
	b := accesslog.New(dir, most, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Run(ctx) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return b, stop
}

func last(t *testing.T, b *accesslog.Book, n int, since time.Time) []api.Access {
	t.Helper()
	all, err := b.Last(t.Context(), web, n, since)
	if err != nil {
		t.Fatal(err)
	}
	return all.Lines
}

func TestWhatWasAddedIsReadAlsoByTheNextOne(t *testing.T) {
	dir := t.TempDir()
	b, stop := open(t, dir, 1<<20)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 5 {
		b.Add(web, api.Access{Time: at.Add(time.Duration(i) * time.Minute), ID: fmt.Sprint(i), Path: "/\n{"})
	}
	b.Add("prod.shop.db", api.Access{ID: "other"})
	if got := last(t, b, 2, time.Time{}); len(got) != 2 || got[0].ID != "3" || got[1].ID != "4" || got[0].Path != "/\n{" {
		t.Errorf("the last two: %+v", got)
	}
	stop()
	b, _ = open(t, dir, 1<<20)
	if got := last(t, b, 0, at.Add(2*time.Minute)); len(got) != 3 {
		t.Errorf("since two minutes: %+v", got)
	}
}

func TestALogIsBoundedAndItsNewestLinesStay(t *testing.T) {
	dir := t.TempDir()
	b, _ := open(t, dir, 2000)
	for i := range 500 {
		b.Add(web, api.Access{ID: fmt.Sprint(i)})
	}
	got := last(t, b, 0, time.Time{})
	if len(got) < 10 || got[len(got)-1].ID != "499" {
		t.Fatalf("%d lines, the last %+v", len(got), got[len(got)-1])
	}
	for i := range got[1:] {
		if fmt.Sprint(499-len(got)+2+i) != got[i+1].ID {
			t.Fatalf("line %d is %s", i+1, got[i+1].ID)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	total := int64(0)
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			total += info.Size()
		}
	}
	if len(files) > 2 || total > 2*2000+400 {
		t.Errorf("%d bytes in %v", total, files)
	}
}

// A disk that takes nothing costs lines, not memory, and no visitor's time.
func TestLinesThatTheDiskDoesNotTakeAreLeftOut(t *testing.T) {
	const many = 100_000
	dir := t.TempDir()
	b := accesslog.New(dir, 64<<20, slog.New(slog.DiscardHandler))
	for i := range many {
		b.Add(web, api.Access{ID: fmt.Sprint(i)})
		b.Add("prod.shop.db", api.Access{ID: fmt.Sprint("other", i)})
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	got := last(t, b, 0, time.Time{})
	if len(got) < 100 || len(got) > many/10 {
		t.Errorf("%d lines were kept", len(got))
	}
	for i, a := range got {
		if a.ID != fmt.Sprint(i) {
			t.Fatalf("line %d is %s", i, a.ID)
		}
	}
	b.Add(web, api.Access{ID: "late"})
	cancel()
	<-done
	b, _ = open(t, dir, 64<<20)
	if late := last(t, b, 0, time.Time{}); len(late) != len(got)+1 || late[len(got)].ID != "late" {
		t.Errorf("%d lines, then %d", len(got), len(late))
	}
}

// Also what fills the heap before the next pause, from many at once, arrives.
func TestLinesOfManyAtOnceAllArrive(t *testing.T) {
	b, _ := open(t, t.TempDir(), 64<<20)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for i := range 3000 {
				b.Add(fmt.Sprintf("prod.shop.web%d", i%3), api.Access{ID: fmt.Sprint(n, ".", i), Path: strings.Repeat("/x", 300)})
				if i%100 == 0 {
					last(t, b, 1, time.Time{}) // by then the disk has it
				}
			}
		})
	}
	all.Wait()
	total := 0
	for n := range 3 {
		page, err := b.Last(t.Context(), fmt.Sprintf("prod.shop.web%d", n), 0, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		total += len(page.Lines)
	}
	if total != 12_000 {
		t.Errorf("%d lines", total)
	}
}

func TestNamesLeadNowhereElse(t *testing.T) {
	dir := t.TempDir()
	b, _ := open(t, dir, 1000)
	for _, name := range []string{"", "web", "../x.y.z", "a.b.c/d", "a.b.c.d", ".a.b"} {
		b.Add(name, api.Access{ID: "x"})
		if _, err := b.Last(t.Context(), name, 0, time.Time{}); err == nil {
			t.Errorf("%q can be read", name)
		}
	}
	last(t, b, 0, time.Time{})
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) > 0 {
		t.Errorf("made %v", files)
	}
}

func TestALineThatAKillCutIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, web+".jsonl"), []byte(`{"id":"1"}`+"\n"+`{"id":"2","pa`), 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := open(t, dir, 1<<20)
	b.Add(web, api.Access{ID: "3"})
	b.Add(web, api.Access{ID: "4"})
	var ids []string
	for _, a := range last(t, b, 0, time.Time{}) {
		ids = append(ids, a.ID)
	}
	if got := strings.Join(ids, " "); got != "1 3 4" {
		t.Errorf("read %s", got)
	}
}

func TestOldLogsAreSwept(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "prod.gone.web.jsonl")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-40 * 24 * time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	b, _ := open(t, dir, 1000)
	last(t, b, 0, time.Time{})
	if _, err := os.Stat(old); err == nil {
		t.Error("it is still there")
	}
}
