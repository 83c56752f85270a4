package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"havre/internal/dialect"
	"havre/internal/problem"
)

// What the ingress is asked to do and has no occasion to is not taken without a word.
func TestWhatWouldDoNothingAtTheIngressIsRefused(t *testing.T) {
	const web = "services:\n  web:\n    image: web\n    ports: [%s]\n    x-havre:\n      domains: [%s]\n      %s\n"
	const (
		port, udp, bare = `"9000:9000"`, `"9000:9000/udp"`, ""
		pass, plain     = "{host: own.example, port: 8443, tls: passthrough}", "{host: www.example, port: 80}"
		below           = "{host: www.example, port: 80, path: /a}"
		hash            = "ann:$$2y$$05$$edxliAPj8dpLPZtC58hJguc8Xr2rX7mViAiuyIKverpmNjXrQDsjK"
	)
	for key, line := range map[string]string{
		"users": `users: ["` + hash + `"]`, "redirect": "redirect: true", "body": "body: 1m", "check": "check: /health", "scheme": "scheme: h2c",
		"compress": "compress: false", "sticky": "sticky: cookie", "strip": "strip: true",
	} {
		for _, c := range []struct{ ports, domains string }{{port, bare}, {bare, pass}, {port, pass}, {udp, bare}, {bare, bare}} {
			wrong := refused(t, fmt.Sprintf(web, c.ports, c.domains, line))
			if said := fmt.Sprint(wrong); len(wrong) != 1 || wrong[0].Where.Line != 7 || !strings.Contains(said, key+" would do nothing: ") || wrong[0].Remedy == "" {
				t.Errorf("%s, ports [%s], domains [%s]: %s", line, c.ports, c.domains, said)
			}
		}
		for _, domains := range []string{below, below + ", " + pass} {
			if wrong := refused(t, fmt.Sprintf(web, port, domains, line)); len(wrong) > 0 {
				t.Errorf("%s with [%s]: %v", line, domains, wrong)
			}
		}
	}
	both := refused(t, fmt.Sprintf(web, port, pass, "redirect: true\n      body: 1m"))
	if len(both) != 2 || both[0].Where.Line != 7 || both[1].Where.Line != 8 {
		t.Errorf("not each at its line: %v", both)
	}
	for _, c := range []struct {
		ports, domains, line string
		fine                 bool
	}{
		{bare, pass, "sticky: address", true}, {bare, pass, "proxy: v2", true}, {bare, pass, "rate: 9/s", true}, {port, bare, "proxy: v2", true}, {udp, bare, "sticky: address", true},
		{udp, bare, "proxy: v2", false}, {bare, plain, "strip: true", false}, {port, bare, "compress: true", true},
	} {
		if wrong := refused(t, fmt.Sprintf(web, c.ports, c.domains, c.line)); (len(wrong) == 0) != c.fine {
			t.Errorf("%s, ports [%s], domains [%s]: %v", c.line, c.ports, c.domains, wrong)
		}
	}
}

// refused is what is wrong with a Compose file.
func refused(t *testing.T, text string) problem.List {
	t.Helper()
	_, err := dialect.Read(t.Context(), dialect.Request{Files: []string{"-"}, Stdin: []byte(text), Project: "x"})
	if err == nil {
		return nil
	}
	wrong, ok := err.(problem.List)
	if !ok {
		t.Fatal(err)
	}
	return wrong
}
