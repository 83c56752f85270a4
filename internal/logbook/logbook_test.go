package logbook_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/logbook"
	"havre/internal/project"
	"havre/internal/spec"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, bytes int) (*logbook.Book, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "book")
	return logbook.New(logbook.Settings{Dir: dir, Bytes: bytes, Age: time.Hour}), dir
}

func page(container string) project.Page {
	return project.Page{Service: "s1", Rollout: 2, Slot: 1, Container: container}
}

// lines gives so many, a second apart, after a word of whom they are.
func lines(who string, n int) func(func(api.Line) error) error {
	return func(yield func(api.Line) error) error {
		for i := range n {
			l := api.Line{Time: noon.Add(time.Duration(i) * time.Second), Stream: "stderr", Text: fmt.Sprintf("%s %d\x1b[0m", who, i)}
			if err := yield(l); err != nil {
				return err
			}
		}
		return nil
	}
}

func write(t *testing.T, b *logbook.Book, container string, n int) {
	t.Helper()
	if err := b.Write(page(container), 1, lines(container, n)); err != nil {
		t.Fatal(err)
	}
}

// kept gives the lines of all pages.
func kept(t *testing.T, b *logbook.Book, r project.Reading) []api.Line {
	t.Helper()
	all, err := b.Pages(t.Context(), "s1", 2)
	if err != nil {
		t.Fatal(err)
	}
	var got []api.Line
	for _, p := range all {
		if err := b.Read(t.Context(), p, r, func(l api.Line) error { got = append(got, l); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func TestPagesAreReadAsTheyWerePrinted(t *testing.T) {
	b, _ := open(t, 1<<20)
	if got := kept(t, b, project.Reading{}); len(got) != 0 {
		t.Errorf("before there are any: %v", got)
	}
	write(t, b, "abc", 5)
	write(t, b, "abc", 5) // a step that is done twice
	got := kept(t, b, project.Reading{})
	if len(got) != 5 || got[4] != (api.Line{Time: noon.Add(4 * time.Second), Stream: "stderr", Text: "abc 4\x1b[0m"}) {
		t.Errorf("got %+v", got)
	}
	if got := kept(t, b, project.Reading{Tail: 2}); len(got) != 2 || got[1].Text != "abc 4\x1b[0m" {
		t.Errorf("the last two are %+v", got)
	}
	if got := kept(t, b, project.Reading{Since: noon.Add(3 * time.Second)}); len(got) != 2 {
		t.Errorf("since then it printed %+v", got)
	}
	pages, _ := b.Pages(t.Context(), "s1", 2)
	if len(pages) != 1 || pages[0].Container != "abc" || pages[0].Slot != 1 || pages[0].Rollout != 2 || pages[0].Service != "s1" {
		t.Errorf("pages %+v", pages)
	}
	enough := errors.New("enough")
	if err := b.Read(t.Context(), pages[0], project.Reading{}, func(api.Line) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the reader's error becomes %v", err)
	}
}

// A step that is done again when the container is gone must not lose its page.
func TestNothingIsNotWrittenOverSomething(t *testing.T) {
	b, _ := open(t, 1<<20)
	write(t, b, "abc", 5)
	write(t, b, "abc", 0)
	if err := b.Write(page("abc"), 1, func(func(api.Line) error) error { return errors.New("the engine is gone") }); err == nil {
		t.Error("a log that cannot be read is no mistake")
	}
	if got := kept(t, b, project.Reading{}); len(got) != 5 {
		t.Errorf("got %+v", got)
	}
}

func TestSizeIsBounded(t *testing.T) {
	const most = 4000
	b, dir := open(t, most)
	for i := range 20 {
		name := fmt.Sprint("c", i)
		if err := b.Write(page(name), 3, lines(name, 1000)); err != nil {
			t.Fatal(err)
		}
		at := noon.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(filepath.Join(dir, "s1", "r2", fmt.Sprintf("c%d.1", i)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	size := 0
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		i, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += int(i.Size())
	}
	got := kept(t, b, project.Reading{})
	if size > most || size < most/2 || len(files) != 3 || got[len(got)-1].Text != "c19 999\x1b[0m" || !strings.HasPrefix(got[0].Text, "c17 ") {
		t.Errorf("%d bytes in %v, from %+v to %+v", size, files, got[0], got[len(got)-1])
	}
	none, dir := open(t, 0)
	write(t, none, "abc", 5)
	if _, err := os.Stat(dir); err == nil {
		t.Error("it keeps something though it must not")
	}
}

func TestOldAndUnwantedPagesGo(t *testing.T) {
	b, dir := open(t, 1<<20)
	write(t, b, "old", 1)
	write(t, b, "new", 1)
	then := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "s1", "r2", "old.1"), then, then); err != nil {
		t.Fatal(err)
	}
	// What a write leaves that was killed.
	if err := os.WriteFile(filepath.Join(dir, "s1", "r2", ".new-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wanted := func(want bool) func(spec.ServiceID, int) bool {
		return func(s spec.ServiceID, n int) bool { return want && s == "s1" && n == 2 }
	}
	if err := b.Tidy(wanted(true), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := kept(t, b, project.Reading{}); len(got) != 1 || !strings.HasPrefix(got[0].Text, "new") {
		t.Errorf("left: %+v", got)
	}
	if err := b.Tidy(wanted(false), time.Now()); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
