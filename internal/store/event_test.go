package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/event"
	"havre/internal/project"
	"havre/internal/store"
)

// telling names the database that a child of the test tells events to.
const telling = "HAVRE_TEST_TELLING"

// tell has a journal see one more certificate after the other, beginning after
// the last one that is kept, and prints the number of each.
func tell(ctx context.Context, file string) error {
	s, err := store.Open(ctx, file)
	if err != nil {
		return err
	}
	sight, _, err := s.Sight(ctx)
	if err != nil {
		return err
	}
	j := event.New(s)
	certs := map[string]time.Time{}
	for host, end := range sight.Certificates {
		certs[host] = end
	}
	for n := len(certs); ; n++ {
		certs[fmt.Sprintf("h%04d.test", n)] = time.Unix(0, 0).UTC()
		seen := map[string]time.Time{}
		for host, end := range certs {
			seen[host] = end
		}
		if err := j.Saw(ctx, event.Passed{Records: []project.Record{}, Certificates: seen}); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func TestEventsAreNeitherLostNorDoubledByKills(t *testing.T) {
	file := filepath.Join(t.TempDir(), "havre.db")
	s := open(t, file)
	if err := event.New(s).Saw(t.Context(), event.Passed{}); err != nil { // telling begins
		t.Fatal(err)
	}
	acknowledged := -1
	for round := range 4 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), telling+"="+file)
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
				t.Fatalf("the teller says %s", lines.Text())
			}
			if acknowledged >= 6*(round+1) {
				_ = c.Process.Kill() // what it told until then is read on
			}
		}
		_ = c.Wait() // killed, as it should
	}
	var told []string
	var last int64
	err := event.New(s).Events(t.Context(), api.EventQuery{}, func(e api.Event) error {
		if e.ID <= last {
			t.Errorf("number %d after %d", e.ID, last)
		}
		last = e.ID
		host, _, _ := strings.Cut(e.Says, " ")
		told = append(told, host)
		return nil
	})
	if err != nil || len(told) <= acknowledged {
		t.Fatalf("%d events of %d acknowledged, %v", len(told), acknowledged+1, err)
	}
	for n, host := range told {
		if want := fmt.Sprintf("h%04d.test", n); host != want {
			t.Fatalf("event %d tells of %s, want %s: %v", n, host, want, told)
		}
	}
}

func TestEventsAreBoundedAndWhatIsLostIsSaid(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "havre.db"))
	old := api.Event{Kind: api.NodeEvent, Says: "old", Time: time.Now().Add(-100 * 24 * time.Hour)}
	var many []api.Event
	for range 10_050 {
		many = append(many, api.Event{Kind: api.NodeEvent, Time: time.Now()})
	}
	for _, events := range [][]api.Event{{old}, many} {
		if err := s.AddEvents(t.Context(), events, nil); err != nil {
			t.Fatal(err)
		}
	}
	j := event.New(s)
	var got []api.Event
	take := func(e api.Event) error { got = append(got, e); return nil }
	if err := j.Events(t.Context(), api.EventQuery{}, take); err != nil || len(got) != 10_000 || got[0].ID != 52 {
		t.Fatalf("%d events kept, %v", len(got), err)
	}
	got = nil
	if err := j.Events(t.Context(), api.EventQuery{After: 3}, take); err != nil || got[0].Kind != api.LostEvent || got[0].ID != 51 || got[1].ID != 52 {
		t.Errorf("after 3 came %v, %v", got[:2], err)
	}
	if !strings.Contains(got[0].Says, "4 to 51") {
		t.Errorf("it says %q", got[0].Says)
	}
	got = nil
	if err := j.Events(t.Context(), api.EventQuery{After: 51}, take); err != nil || got[0].ID != 52 {
		t.Errorf("after 51 came %v, %v", got[0], err)
	}
	if err := j.Events(t.Context(), api.EventQuery{After: 20_000}, take); err == nil {
		t.Error("a number that was never given is taken")
	}
}

func TestFollowingGoesOnWhereItWas(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "havre.db"))
	j := event.New(s)
	add := func(says string) {
		if err := j.Add(t.Context(), api.Event{Kind: api.NodeEvent, Says: says}); err != nil {
			t.Error(err)
		}
	}
	add("1")
	ctx, cancel := context.WithCancel(t.Context())
	var got []string
	err := j.Events(ctx, api.EventQuery{Follow: true}, func(e api.Event) error {
		got = append(got, e.Says)
		switch e.Says {
		case "1":
			add("2") // while one is being told
		case "2":
			go add("3") // while it waits, most likely
		default:
			cancel()
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("got %v, %v", got, err)
	}
}
