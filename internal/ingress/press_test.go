package ingress_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Only so many answers are compressed at once: what is over, or was left in
// the middle, counts no more.
func TestCompressionGoesOnAfterManyAnswers(t *testing.T) {
	w := open(t)
	text := strings.Repeat("much of the same ", 10_000)
	table := web(t, w.serves(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, text)
		if r.URL.Path == "/broken" {
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	plain, secure := browser(t, table.HTTPPort), secureBrowser(t, table.HTTPSPort, roots)
	secure.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	for _, path := range []string{"/", "/broken", "/"} {
		for range 40 {
			for url, c := range map[string]*http.Client{"http://www.example": plain, "https://www.example": secure} {
				r, err := http.NewRequest("GET", url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Accept-Encoding", "gzip")
				answer, err := c.Do(r)
				if err != nil {
					continue // broken before its header came
				}
				_, err = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if path == "/" && (err != nil || answer.Header.Get("Content-Encoding") != "gzip") {
					t.Fatalf("%s%s: %v, %v", url, path, answer.Header, err)
				}
			}
		}
	}
}
