package route_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"havre/internal/cert"
	"havre/internal/problem"
	"havre/internal/route"
	"havre/internal/spec"
)

func target(n int) route.Target {
	return route.Target{
		Environment: "prod",
		Container:   fmt.Sprintf("%064x", 0xabc000+n),
		Address:     netip.AddrFrom4([4]byte{10, 87, 3, byte(n)}),
		Port:        8080,
	}
}

func certificate(t testing.TB, hosts ...string) route.Certificate {
	t.Helper()
	a, err := cert.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Issue(hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return route.Certificate{Hosts: hosts, Chain: l.Chain, Key: l.Key.Reveal()}
}

func example(t testing.TB) route.Table {
	return route.Table{
		TCP: []route.TCP{
			{Listen: 993, Access: spec.Private, Service: "prod.mail.dovecot", Targets: []route.Target{target(2)}},
			{Listen: 25, Access: spec.Public, Service: "prod.mail.exim", Targets: []route.Target{target(2), target(1)}},
		},
		HTTP: []route.HTTP{
			{Host: "www.example", Access: spec.Public, Service: "prod.web.www", Targets: []route.Target{target(4), target(3)}},
			{Host: "mail.example", Access: spec.Localhost, Service: "prod.mail.webmail"},
		},
		Certificates: []route.Certificate{certificate(t, "www.example", "mail.example")},
	}
}

func TestTableComesBackAsItWas(t *testing.T) {
	want := example(t)
	got, err := route.Parse(want.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) || got.Digest() != want.Digest() {
		t.Errorf("got %s\nwant %s", got.Encode(), want.Encode())
	}
	if got.HTTPPort != 80 || got.HTTPSPort != 443 {
		t.Errorf("ports = %d and %d; want the defaults written out", got.HTTPPort, got.HTTPSPort)
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	a, b := example(t), route.Table{}
	b = a.Canonical()
	b.HTTPPort = 0
	b.TCP[0], b.TCP[1] = b.TCP[1], b.TCP[0]
	b.TCP[1].Targets[0], b.TCP[1].Targets[1] = b.TCP[1].Targets[1], b.TCP[1].Targets[0]
	b.TCP[0].Targets[0].Address = netip.AddrFrom16(b.TCP[0].Targets[0].Address.As16())
	b.HTTP[0].Targets = []route.Target{}
	if !a.Equal(b) {
		t.Errorf("%s\nand\n%s", a.Encode(), b.Encode())
	}
	b.TCP[0].Access = spec.Localhost
	if a.Equal(b) {
		t.Error("another access is the same table")
	}
}

func TestCanonicalSharesNothing(t *testing.T) {
	a := example(t)
	before := string(a.Encode())
	c := a.Canonical()
	c.TCP[0].Targets[0].Port = 1
	c.HTTP[1].Targets[0].Port = 1
	c.Certificates[0].Hosts[0] = "spoilt"
	if string(a.Encode()) != before {
		t.Error("changing the copy changed the table")
	}
}

func TestEmptyTableIsGood(t *testing.T) {
	if _, err := route.Parse([]byte("{}")); err != nil {
		t.Error(err)
	}
}

func TestMistakesAreAllFound(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(*route.Table)
		says  string
	}{
		"no port":    {func(t *route.Table) { t.TCP[0].Listen = 0 }, "no port"},
		"port twice": {func(t *route.Table) { t.TCP[0].Listen = 25 }, `tcp port 25 leads to "prod.mail.dovecot" and to "prod.mail.exim"`},
		"udp port twice": {func(t *route.Table) {
			t.UDP = append(t.UDP, route.UDP{Listen: 53, Access: spec.Public, Service: "prod.net.dns"}, route.UDP{Listen: 53, Access: spec.Public, Service: "prod.net.bind"})
		}, `udp port 53 leads to "prod.net.dns" and to "prod.net.bind"`},
		"passed through and answered": {func(t *route.Table) {
			t.Pass = append(t.Pass, route.Pass{Host: "www.example", Access: spec.Public, Service: "prod.own.tls"})
		}, `leads to`},
		"no access":             {func(t *route.Table) { t.TCP[0].Access = "" }, "access"},
		"odd access":            {func(t *route.Table) { t.HTTP[0].Access = "Public" }, "access"},
		"no service":            {func(t *route.Table) { t.TCP[0].Service = "" }, "service"},
		"service of two lines":  {func(t *route.Table) { t.TCP[0].Service = "a\nb" }, "service"},
		"http is https":         {func(t *route.Table) { t.HTTPPort = 443 }, "both have port 443"},
		"host in capitals":      {func(t *route.Table) { t.HTTP[0].Host = "WWW.example" }, "lower case"},
		"host with a port":      {func(t *route.Table) { t.HTTP[0].Host = "www.example:80" }, "host name"},
		"wildcard in the host":  {func(t *route.Table) { t.HTTP[0].Host = "www.*.example" }, "host name"},
		"two wildcards":         {func(t *route.Table) { t.HTTP[0].Host = "*.*.example" }, "host name"},
		"path that goes up":     {func(t *route.Table) { t.HTTP[0].Path = "/a/../b" }, "two ways"},
		"path with a slash":     {func(t *route.Table) { t.HTTP[0].Path = "/a/" }, "two ways"},
		"odd front":             {func(t *route.Table) { t.HTTP[0].Front.Scheme = "ftp" }, "scheme"},
		"odd proxy":             {func(t *route.Table) { t.TCP[0].Proxy = "v1" }, "proxy"},
		"empty host":            {func(t *route.Table) { t.HTTP[0].Host = "" }, "host name"},
		"very long host":        {func(t *route.Table) { t.HTTP[0].Host = strings.Repeat("a.", 130) + "a" }, "host name"},
		"host twice":            {func(t *route.Table) { t.HTTP[0].Host = "mail.example" }, "leads to"},
		"environment that goes": {func(t *route.Table) { t.TCP[0].Targets[0].Environment = "../qualif" }, "environment"},
		"short id":              {func(t *route.Table) { t.TCP[0].Targets[0].Container = "abcdef123456" }, "whole id"},
		"id in capitals":        {func(t *route.Table) { t.TCP[0].Targets[0].Container = strings.Repeat("A", 64) }, "whole id"},
		"no address":            {func(t *route.Table) { t.TCP[0].Targets[0].Address = netip.Addr{} }, "address"},
		"any address":           {func(t *route.Table) { t.TCP[0].Targets[0].Address = netip.IPv4Unspecified() }, "address"},
		"address of all":        {func(t *route.Table) { t.TCP[0].Targets[0].Address = netip.MustParseAddr("224.0.0.1") }, "address"},
		"address with a zone":   {func(t *route.Table) { t.TCP[0].Targets[0].Address = netip.MustParseAddr("fe80::1%eth0") }, "address"},
		"no inner port":         {func(t *route.Table) { t.TCP[0].Targets[0].Port = 0 }, "port"},
		"target twice": {func(t *route.Table) {
			again := t.TCP[0].Targets[0]
			again.Address = netip.AddrFrom16(again.Address.As16())
			t.TCP[0].Targets = append(t.TCP[0].Targets, again)
		}, "twice"},
		"certificate for nobody": {func(t *route.Table) { t.Certificates[0].Hosts = nil }, "no host"},
		"certificate of another": {func(t *route.Table) { t.Certificates[0].Hosts = []string{"other.example"} }, "not made out"},
		"no key":                 {func(t *route.Table) { t.Certificates[0].Key = "" }, "no pair"},
		"two certificates": {func(t *route.Table) {
			t.Certificates = append(t.Certificates, t.Certificates[0])
		}, "two certificates"},
	} {
		t.Run(what, func(t *testing.T) {
			table := example(t)
			c.spoil(&table)
			err := table.Validate()
			if problem.KindOf(err) != problem.Invalid || !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v; want %q in it", err, c.says)
			}
			if _, err := route.Parse(table.Encode()); err == nil {
				t.Error("Parse takes it")
			}
		})
	}
	both := example(t)
	both.TCP[0].Listen, both.HTTP[0].Host = 0, ""
	if lines := strings.Count(both.Validate().Error(), "\n"); lines != 1 {
		t.Errorf("of two mistakes: %v", both.Validate())
	}
}

func TestParseIsStrict(t *testing.T) {
	for what, text := range map[string]string{
		"nothing":       "",
		"a list":        "[]",
		"unknown field": `{"sctp":[]}`,
		"unknown below": `{"tcp":[{"listen":25,"access":"public","service":"a","proxy":true}]}`,
		"two values":    `{}{}`,
		"rubbish after": `{}x`,
		"port too high": `{"tcp":[{"listen":65536,"access":"public","service":"a"}]}`,
	} {
		if _, err := route.Parse([]byte(text)); problem.KindOf(err) != problem.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestKeyDoesNotPrint(t *testing.T) {
	for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(form, example(t)); strings.Contains(s, "PRIVATE") {
			t.Errorf("%s prints the key", form)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("{}"))
	f.Add(example(f).Encode())
	f.Add([]byte(`{"httpPort":80,"httpsPort":80,"tcp":[{"listen":1,"targets":[{"address":"::ffff:1.2.3.4"}]}]}`))
	f.Add([]byte(`{"certificates":[{"hosts":["a"],"chain":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := route.Parse(b)
		if err != nil {
			return
		}
		again, err := route.Parse(first.Encode())
		if err != nil {
			t.Fatalf("%s\nis not good any more: %v", first.Encode(), err)
		}
		if !again.Equal(first) || string(again.Encode()) != string(first.Encode()) {
			t.Fatalf("%s\nbecame\n%s", first.Encode(), again.Encode())
		}
	})
}
