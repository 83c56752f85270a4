package docker_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"havre/internal/cert"
)

// A certificate that somebody put in place serves its domain, and is what a
// service mounts; the others keep Havre's own.
func TestCertificateFromAFileServesItsDomain(t *testing.T) {
	t.Parallel()
	h := up(t)
	theirs, err := cert.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := theirs.Issue([]string{"*.filed.test"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	h.putCertificate(t, "filed.pem", l)
	h.apply(t, "filed", "services: {s: {image: 'app:1', x-havre: {domains: [web.filed.test, unfiled.test], certificate: web.filed.test}}}")
	h.sees(t, "filed.s", "/run/havre/certificate.pem", l.Chain+l.Key.Reveal())
	for host, root := range map[string][]byte{"web.filed.test": []byte(theirs.RootPEM()), "unfiled.test": h.authority(t)} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(root)
		web := &http.Client{Transport: &http.Transport{DialContext: h.fromMachine(443), TLSClientConfig: &tls.Config{RootCAs: roots}}}
		resp, err := web.Get("https://" + host + "/")
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		resp.Body.Close()
	}
	has(t, "doctor", h.must(t, "doctor", "--data", h.data, "-o", "json"), `"name":"certificates","level":"well"`, "does not trust", "update-ca-certificates")
	trusts := h.command(t.Context(), "doctor", "--data", h.data, "-o", "json")
	trusts.Env = append(trusts.Env, "SSL_CERT_FILE="+h.write(t, "root.pem", string(h.authority(t))))
	if said, err := trusts.Output(); err != nil || !strings.Contains(string(said), "this machine trusts Havre's own authority") {
		t.Errorf("where the root was put the doctor says %s, %v", said, err)
	}
}

// putCertificate puts a file in place as a person does.
func (h *havre) putCertificate(t *testing.T, name string, l cert.Leaf) {
	t.Helper()
	dir := filepath.Join(h.data, "server", "certificate")
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(l.Chain+l.Key.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(file) })
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.Chown(file, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
}
