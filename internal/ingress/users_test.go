package ingress_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"havre/internal/ingress"
)

func hash(t testing.TB, password string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// argonHash is password's as argon2(1) -id -e writes it; memory is in KiB.
func argonHash(password string, memory, times uint32, threads uint8) string {
	salt := []byte("a salt of sixteen")
	word := base64.RawStdEncoding.EncodeToString
	sum := argon2.IDKey([]byte(password), salt, times, memory, threads, 32)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", memory, times, threads, word(salt), word(sum))
}

func TestPasswordIsAskedForAndNotPassedOn(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"), r.Header.Get("X-Forwarded-User"))
	})))
	table.HTTP[0].Front.Users = []string{
		"ann:" + hash(t, "secret"),
		"bob:" + argonHash("pass word", 19456, 2, 1),
	}
	w.must(table)
	ask := func(name, password string) (int, string) {
		r, err := http.NewRequest("GET", "http://www.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if name != "" {
			r.SetBasicAuth(name, password)
		}
		answer, err := browser(t, table.HTTPPort).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, _ := io.ReadAll(answer.Body)
		if answer.StatusCode == http.StatusUnauthorized && !strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Error("it does not say how to come in")
		}
		return answer.StatusCode, string(b)
	}
	for _, c := range []struct {
		name, password string
		want           int
	}{{"", "", 401}, {"ann", "wrong", 401}, {"eve", "secret", 401}, {"bob", "secret", 401}, {"bob", "pass word", 200}, {"ann", "secret", 200}, {"ann", "secret", 200}} {
		status, body := ask(c.name, c.password)
		if status != c.want || status == 200 && body != c.name {
			t.Errorf("%s with %q: %d %q", c.name, c.password, status, body)
		}
	}
	last := 0
	for range 12 {
		last, _ = ask("ann", "guess")
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("after a dozen guesses: %d", last)
	}
	if status, _ := ask("ann", "secret"); status != http.StatusOK {
		t.Errorf("who gave a good password before: %d", status)
	}
}

func guess(ctx context.Context, password string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, "GET", "http://www.example/", nil)
	r.SetBasicAuth("ann", password)
	return r
}

// Each check costs memory: services together may have only a few at once.
func TestPasswordsOfAllServicesAreCheckedInTurn(t *testing.T) {
	turn := ingress.Turns(1)
	one := ingress.Checker([]string{"ann:" + argonHash("secret", 64, 1, 1)}, turn)
	two := ingress.Checker([]string{"ann:" + hash(t, "secret")}, turn)
	turn <- struct{}{}
	client := netip.MustParseAddr("192.0.2.1")
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 20 {
		for _, check := range []func(*http.Request, netip.Addr) (string, int){one, two} {
			if _, status := check(guess(gone, "secret"), client); status != http.StatusServiceUnavailable {
				t.Fatalf("without a turn: %d", status)
			}
		}
	}
	<-turn
	for _, check := range []func(*http.Request, netip.Addr) (string, int){one, two} {
		if name, status := check(guess(t.Context(), "secret"), client); status != 0 || name != "ann" {
			t.Errorf("with a turn: %q %d; waiting in vain is no wrong guess", name, status)
		}
	}
}

// Who asks a hundred times at once has no more guesses than who asks in a row.
func TestGuessesAtOnceCountAsThoseInARow(t *testing.T) {
	turn := ingress.Turns(1)
	check := ingress.Checker([]string{"ann:" + argonHash("secret", 64, 1, 1)}, turn)
	client := netip.MustParseAddr("192.0.2.1")
	turn <- struct{}{}
	var waiting, asking sync.WaitGroup
	counts := make(chan int, 100)
	for range 100 {
		waiting.Add(1)
		asking.Go(func() {
			waiting.Done()
			_, status := check(guess(t.Context(), "wrong"), client)
			counts <- status
		})
	}
	waiting.Wait()
	<-turn
	asking.Wait()
	close(counts)
	guessed := 0
	for status := range counts {
		if status == http.StatusUnauthorized {
			guessed++
		}
	}
	if guessed > 11 {
		t.Errorf("%d guesses were checked", guessed)
	}
}
