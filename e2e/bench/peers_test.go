package bench_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
)

// The image has every peer, from Debian's packages. Documents stay away, and
// nothing is started by an installation.
const peersFile = `FROM debian:bookworm
RUN printf 'path-exclude=/usr/share/%s/*\n' doc man info locale > /etc/dpkg/dpkg.cfg.d/small \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      nginx-light caddy haproxy iperf3 wrk ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /srv/www \
 && head -c 1024 /dev/zero | tr '\0' 'x' > /srv/www/1k \
 && head -c 1048576 /dev/zero | tr '\0' 'x' > /srv/www/1m \
 && cp /srv/www/1k /srv/www/index.html
COPY backend.conf nginx.conf haproxy.cfg Caddyfile /etc/bench/
COPY peer.pem peer.key /etc/bench/
CMD ["nginx", "-c", "/etc/bench/backend.conf"]
`

// backend answers 1 KiB at /1k and 1 MiB at /1m, and echoes nothing else.
const backendConf = `daemon off; worker_processes 2; error_log /dev/stderr warn; pid /run/backend.pid;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  server { listen 8080 reuseport; root /srv/www; }
}
`

// The proxies keep connections to the backend open, as Havre does. They log
// nothing; Havre keeps its access log, as it does by default. BACKEND stands for the container's address.
const nginxConf = `daemon off; worker_processes 2; error_log /dev/stderr warn; pid /run/proxy.pid;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000;
  upstream backend { server BACKEND:8080; keepalive 128; keepalive_requests 1000000; }
  server {
    listen 9080 reuseport;
    listen 9443 ssl reuseport;
    ssl_certificate /etc/bench/peer.pem; ssl_certificate_key /etc/bench/peer.key;
    location / {
      proxy_pass http://backend; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`

const haproxyConf = `global
  maxconn 4000
  nbthread 2
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend http
  bind :9180
  default_backend http
frontend stream
  bind :9201
  default_backend stream
backend http
  server one BACKEND:8080
backend stream
  server one STREAM:5201
`

const caddyConf = `{
  admin off
  auto_https off
}
:9280 {
  reverse_proxy BACKEND:8080 {
    transport http {
      keepalive_idle_conns_per_host 128
    }
  }
}
`

// peers makes the image bench:1 and gives the versions of what is in it.
func (h *havre) peers(b *testing.B) string {
	b.Helper()
	h.must(b, "image", "bootstrap", "debian:bookworm")
	dir := "peers/"
	certificate, key := selfSigned(b)
	for name, text := range map[string]string{
		"Dockerfile": peersFile, "backend.conf": backendConf, "nginx.conf": nginxConf, "haproxy.cfg": haproxyConf, "Caddyfile": caddyConf,
		"peer.pem": certificate, "peer.key": key,
	} {
		h.file(b, dir+name, text)
	}
	h.must(b, "image", "build", "-t", "bench:1", h.home+"/"+dir)
	return h.world.Docker(b, "run", "--rm", benchImage, "dpkg-query", "-W", "-f", "${Package} ${Version}\n", "nginx-light", "caddy", "haproxy", "iperf3", "wrk")
}

const benchImage = "havre.invalid/prod/bench:1"

// manyPorts keeps connections that are over from taking the source ports of
// the next: after 28,000 to one address there would be none for a minute.
var manyPorts = map[string]string{"net.ipv4.ip_local_port_range": "1024 65000", "net.ipv4.tcp_tw_reuse": "1"}

// freePorts gives the load, which comes from the world's own network, the same.
func (h *havre) freePorts(b *testing.B) {
	b.Helper()
	for setting, value := range manyPorts {
		file := "/proc/sys/" + strings.ReplaceAll(setting, ".", "/")
		if err := h.world.Do(func() error { return os.WriteFile(file, []byte(value), 0o644) }); err != nil {
			b.Fatal(err)
		}
	}
}

// proxy starts a peer in a container on the network of the project, in front
// of the same containers that Havre serves, with its ports published.
func (h *havre) proxy(b *testing.B, name string, ports []int, command string) {
	b.Helper()
	network := h.world.Docker(b, "network", "ls", "-q", "--filter", "label=havre.kind=network")
	if len(strings.Fields(network)) != 1 {
		b.Fatalf("networks of projects: %q, want one", network)
	}
	script := `set -e
for name in backend stream; do
  address=$(getent hosts "$name" | cut -d' ' -f1)
  sed -i "s/$(echo "$name" | tr a-z A-Z)/$address/" /etc/bench/*
done
exec ` + command
	args := []string{"run", "-d", "--name", name, "--network", network}
	for setting, value := range manyPorts {
		args = append(args, "--sysctl", setting+"="+value)
	}
	for _, port := range ports {
		args = append(args, "-p", fmt.Sprintf("%d:%d", port, port))
	}
	h.world.Docker(b, append(args, benchImage, "sh", "-c", script)...)
}

// selfSigned is a certificate as Havre's authority gives them: ECDSA, P-256.
func selfSigned(b *testing.B) (certificate, key string) {
	b.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"bench.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		b.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		b.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}
