package server_test

import (
	"net/http"
	"strings"
	"testing"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/server"
)

func TestNumbersOfRolloutsAndContainersAreChecked(t *testing.T) {
	w := open(t, nil)
	for path, want := range map[string]string{
		"/v1/services/web/rollback?to=0":       `parameter to is \"0\"`,
		"/v1/services/web/rollback?to=r1":      `parameter to is \"r1\"`,
		"/v1/services/web/scale":               `parameter replicas is \"\"`,
		"/v1/services/web/scale?replicas=-1":   `parameter replicas is \"-1\"`,
		"/v1/services/web/scale?replicas=1e9":  `parameter replicas is \"1e9\"`,
		"/v1/services/web/scale?replicas=1&x=": `unknown parameter \"x\"`,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.tcp+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 4096)
		n, _ := resp.Body.Read(text)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(text[:n]), want) {
			t.Errorf("%s: %s %s", path, resp.Status, text[:n])
		}
	}
}

func TestServerWithoutRolloutsSaysSo(t *testing.T) {
	w := open(t, func(s *server.Settings) { s.Backend = server.Backend{} })
	c, web := w.caller(t), api.Target{Name: "web"}
	_, history := c.History(t.Context(), web)
	_, diff := c.Diff(t.Context(), web, api.DiffOptions{From: 1, To: 2, Secrets: true})
	back := c.Rollback(t.Context(), web, 1, func(api.Progress) {})
	scale := c.Scale(t.Context(), web, api.Scale{Replicas: 1}, func(api.Progress) {})
	for _, err := range []error{history, diff, back, scale} {
		if problem.KindOf(err) != problem.Unavailable {
			t.Errorf("got %v", err)
		}
	}
}
