package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"havre/internal/alert"
	"havre/internal/notify"
	"havre/internal/store"
)

// A child of the test watches: its database and where it tells.
const (
	watchingFile = "HAVRE_TEST_WATCHING"
	watchingURL  = "HAVRE_TEST_WATCHING_URL"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(watchingFile); file != "" {
		fmt.Println(watch(context.Background(), file, os.Getenv(watchingURL)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func watchOf(s *store.Store, url string) *alert.Watch {
	return &alert.Watch{
		Config: alert.Config{Channels: []alert.Channel{{Name: "chat", Webhook: &alert.Webhook{URL: url}}}, Rules: []alert.Rule{{Name: "down", When: alert.Down}}},
		Keeper: s, Queue: s, Sender: sender, Every: time.Second, Log: slog.New(slog.DiscardHandler),
	}
}

// watch finds one more service down each time, and tells of it. It prints each
// that was kept.
func watch(ctx context.Context, file, url string) error {
	s, err := store.Open(ctx, file)
	if err != nil {
		return err
	}
	w := watchOf(s, url)
	before, _, err := s.Alerts(ctx, time.Now())
	if err != nil {
		return err
	}
	for n := len(before) + 1; ; n++ {
		w.Look = func(context.Context, alert.Config) (alert.Situation, error) {
			st := alert.Situation{Now: time.Now().UTC(), Services: map[string]alert.State{}}
			for i := range n {
				st.Services[fmt.Sprintf("prod.p.s%03d", i)] = alert.State{State: "failing"}
			}
			return st, nil
		}
		if err := w.Judge(ctx); err != nil {
			return err
		}
		fmt.Println(n)
		if err := w.Deliver(ctx); err != nil {
			return err
		}
	}
}

func TestEveryNoticeArrivesThoughTheTellerIsKilled(t *testing.T) {
	r := openReceiver(t)
	file := filepath.Join(t.TempDir(), "havre.db")
	kept := 0
	for round := range 4 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), watchingFile+"="+file, watchingURL+"="+r.url)
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if kept, err = strconv.Atoi(strings.TrimSpace(lines.Text())); err != nil {
				t.Fatalf("the teller says %s", lines.Text())
			}
			if kept >= 5*(round+1) {
				_ = c.Process.Kill() // what it kept until then is read on
			}
		}
		_ = c.Wait() // killed, as it should
	}
	s, err := store.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := watchOf(s, r.url).Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := map[string]map[string]bool{} // about: numbers
	for _, c := range r.taken() {
		var m notify.Message
		if err := json.Unmarshal(c.body, &m); err != nil {
			t.Fatal(err)
		}
		if told[m.About] == nil {
			told[m.About] = map[string]bool{}
		}
		told[m.About][c.header.Get(notify.NumberHeader)] = true
	}
	for i := range kept {
		about := fmt.Sprintf("prod.p.s%03d", i)
		if len(told[about]) != 1 {
			t.Errorf("%s was told by the numbers %v, want one", about, told[about])
		}
	}
	if left, err := s.Notices(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("%d notices are left, %v", len(left), err)
	}
}

// The worst moment to be killed is while the other side listens.
func TestNoticeThatTheTellerDiedOverComesAgain(t *testing.T) {
	teller := make(chan *os.Process, 1)
	deadly := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		_ = (<-teller).Kill() // it lives: it waits for our answer
		panic(http.ErrAbortHandler)
	}))
	defer deadly.Close()
	file := filepath.Join(t.TempDir(), "havre.db")
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), watchingFile+"="+file, watchingURL+"="+deadly.URL)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	teller <- c.Process
	_ = c.Wait() // killed, as it should
	s, err := store.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := openReceiver(t)
	if err := watchOf(s, r.url).Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.taken()); n != 1 {
		t.Errorf("%d notices came, want the one that was on its way", n)
	}
}

func TestWhatIsNotTakenIsTriedAgainInOrder(t *testing.T) {
	r := openReceiver(t)
	r.fail = 1
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "havre.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := watchOf(s, r.url)
	now := time.Now().UTC()
	v := alert.Verdict{}
	for _, about := range []string{"a", "b"} {
		v.Notices = append(v.Notices, alert.Notice{Channel: "chat", About: about, Made: now, Next: now})
	}
	if err := s.SaveVerdict(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is too early for the first, and so for the second
		if err := w.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	left, err := s.Notices(t.Context())
	if err != nil || len(left) != 2 || left[0].Tries != 1 || !left[0].Next.After(now.Add(5*time.Second)) || left[1].Tries != 0 || len(r.taken()) != 0 {
		t.Fatalf("left %+v, %v; taken %d", left, err, len(r.taken()))
	}
	if err := s.Postponed(t.Context(), left[0].ID, now); err != nil { // its time has come
		t.Fatal(err)
	}
	if err := w.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, c := range r.taken() {
		var m notify.Message
		_ = json.Unmarshal(c.body, &m) // an empty one is seen below
		order = append(order, m.About)
	}
	if strings.Join(order, "") != "ab" {
		t.Errorf("told in the order %v", order)
	}
}
