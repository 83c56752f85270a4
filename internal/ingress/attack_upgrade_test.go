package ingress_test

import (
	"strings"
	"testing"

	"havre/internal/spec"
)

// Behind an upgrade to HTTP/2 requests would reach an app that nobody judged:
// neither their path nor who asks.
func TestUpgradeToHTTP2DoesNotReachAnApp(t *testing.T) {
	w := open(t, impatient)
	app, target := w.strict()
	table := web(t)
	at(&table, "www.example/open", spec.Front{}, target)
	w.must(table)
	for _, fields := range []string{
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
		"Connection: upgrade\r\nUpgrade: H2C\r\n",
		"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
		"Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n",
		"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
	} {
		shout(t, table.HTTPPort, "GET /open HTTP/1.1\r\nHost: www.example\r\n"+fields+"\r\nGET /open/last HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
		_, heads, wrong := app.take()
		whole := strings.ToLower(strings.Join(heads, "\n"))
		if len(heads) == 0 || len(wrong) > 0 || strings.Contains(whole, "upgrade") || strings.Contains(whole, "http2") || strings.Contains(whole, "h2c") {
			t.Errorf("%q: the app saw %q, wrong %q", fields, heads, wrong)
		}
	}
}
