package accesslog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"havre/internal/accesslog"
	"havre/internal/api"
)

// reader follows a log.
type reader struct {
	ids  []string
	next string
	lost int
}

func (r *reader) read(t *testing.T, b *accesslog.Book) {
	t.Helper()
	for more := true; more; {
		p, err := b.After(t.Context(), web, r.next)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range p.Lines {
			r.ids = append(r.ids, a.ID)
		}
		if p.Lost {
			r.lost++
		}
		r.next, more = p.Next, p.More
	}
}

func TestAFollowerHasEachLineOnceAcrossFilesAndBooks(t *testing.T) {
	dir := t.TempDir()
	f := reader{next: "0"}
	n := 0
	for range 3 {
		b, stop := open(t, dir, 2000)
		f.read(t, b)
		for range 40 {
			for range 3 { // a file takes about twenty lines
				b.Add(web, api.Access{Time: time.Unix(int64(-n), 0), ID: fmt.Sprint(n)}) // begun in no order
				n++
			}
			f.read(t, b)
		}
		b.Add(web, api.Access{ID: fmt.Sprint(n)})
		n++
		stop()
	}
	b, _ := open(t, dir, 2000)
	f.read(t, b)
	for i := range n {
		if i >= len(f.ids) || f.ids[i] != fmt.Sprint(i) {
			t.Fatalf("of %d lines: %v", n, f.ids)
		}
	}
	if len(f.ids) != n || f.lost > 0 {
		t.Errorf("%d of %d lines, lost %d times", len(f.ids), n, f.lost)
	}
}

func TestAFollowerHearsThatLinesAreGone(t *testing.T) {
	b, _ := open(t, t.TempDir(), 2000)
	b.Add(web, api.Access{ID: "first"})
	f := reader{next: "0"}
	f.read(t, b)
	for i := range 200 {
		b.Add(web, api.Access{ID: fmt.Sprint(i)})
	}
	f.read(t, b)
	if f.lost != 1 || f.ids[len(f.ids)-1] != "199" || len(f.ids) > 60 {
		t.Errorf("lost %d times, read %v", f.lost, f.ids)
	}
	f.next = "4" + f.next[1:]
	f.read(t, b)
	f.read(t, b)
	if f.lost != 2 {
		t.Errorf("a position that there is not: lost %d times", f.lost)
	}
	for _, bad := range []string{"", "-1", "x"} {
		if _, err := b.After(t.Context(), web, bad); err == nil {
			t.Errorf("%q is a position", bad)
		}
	}
}

func TestFollowingGoesOnFromWhereTheLastLinesEnd(t *testing.T) {
	b, _ := open(t, t.TempDir(), 1<<20)
	p, err := b.Last(t.Context(), web, 5, time.Time{})
	if err != nil || p.Next != "0" {
		t.Fatalf("of nothing: %+v, %v", p, err)
	}
	for i := range 9 {
		b.Add(web, api.Access{ID: fmt.Sprint(i)})
	}
	if p, err = b.Last(t.Context(), web, 2, time.Time{}); err != nil || len(p.Lines) != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	b.Add(web, api.Access{ID: "new"})
	f := reader{next: p.Next}
	f.read(t, b)
	if strings.Join(f.ids, " ") != "new" || f.lost > 0 {
		t.Errorf("read %v", f.ids)
	}
}

// As while the visitors of an ingress that was replaced are still there.
func TestTwoBooksWriteOneLog(t *testing.T) {
	dir := t.TempDir()
	old, stop := open(t, dir, 3000)
	b, _ := open(t, dir, 3000)
	f := reader{next: "0"}
	for i := range 100 {
		old.Add(web, api.Access{ID: fmt.Sprint("a", i)})
		b.Add(web, api.Access{ID: fmt.Sprint("b", i)})
		last(t, old, 1, time.Time{}) // it is written
		f.read(t, b)
	}
	stop()
	f.read(t, b)
	seen := map[string]bool{}
	for _, id := range f.ids {
		seen[id] = true
	}
	if len(seen) != 200 || len(f.ids) != 200 || f.lost > 0 {
		t.Errorf("%d of 200 lines in %d, lost %d times", len(seen), len(f.ids), f.lost)
	}
}

func TestFilesWithoutAMarkAreFollowed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{".1": `{"id":"1"}` + "\n", "": `{"id":"2"}` + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, web+".jsonl"+name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := open(t, dir, 200)
	f := reader{next: "0"}
	f.read(t, b)
	for i := 3; i < 6; i++ {
		b.Add(web, api.Access{ID: fmt.Sprint(i)})
		f.read(t, b)
	}
	if got := strings.Join(f.ids, " "); got != "1 2 3 4 5" || f.lost > 0 {
		t.Errorf("read %s, lost %d times", got, f.lost)
	}
}

// What a kill cut is taken for whole by nobody, before and after.
func TestAFollowerWaitsForTheEndOfALine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, web+".jsonl"), []byte(`{"id":"1"}`+"\n"+`{"id":"2","pa`), 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := open(t, dir, 1<<20)
	f := reader{next: "0"}
	p, err := b.After(t.Context(), web, "0")
	if err != nil || len(p.Lines) != 1 || p.More {
		t.Fatalf("%+v, %v", p, err)
	}
	f.next = p.Next
	b.Add(web, api.Access{ID: "3"})
	f.read(t, b)
	if strings.Join(f.ids, " ") != "3" || f.lost > 0 {
		t.Errorf("read %v", f.ids)
	}
}
