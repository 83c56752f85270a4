package lab

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// resolve writes the engine's resolv.conf: the host's, where its servers can be
// reached from inside; else one that names a relay of ours.
func (w *World) resolve() error {
	text, _ := os.ReadFile("/etc/resolv.conf") // without it there is no DNS outside either
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "nameserver") {
			lines = append(lines, line)
		}
	}
	var near []netip.Addr
	reachable := 0
	for _, server := range nameservers("/etc/resolv.conf") {
		if server.Is4() && !server.IsLoopback() {
			lines = append(lines, "nameserver "+server.String()+"\n")
			reachable++
		} else {
			near = append(near, server)
		}
	}
	if reachable == 0 && len(near) > 0 {
		lines = append(lines, "nameserver "+w.Address.String()+"\n")
		if err := w.startRelay(near); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(w.Dir, "resolv.conf"), []byte(strings.Join(lines, "")), 0o644)
}

func nameservers(file string) []netip.Addr {
	text, _ := os.ReadFile(file)
	var all []netip.Addr
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if server, err := netip.ParseAddr(f[1]); err == nil {
			all = append(all, server.Unmap())
		}
	}
	return all
}

// startRelay answers inside the world at its own address, for containers, and
// at the host's loopback addresses, for programs that read the host's
// resolv.conf.
func (w *World) startRelay(servers []netip.Addr) error {
	w.relay = &relay{to: netip.AddrPortFrom(servers[0], 53).String()}
	at := []netip.Addr{w.Address}
	for _, server := range servers {
		if server.IsLoopback() {
			at = append(at, server)
		}
	}
	return w.Do(func() error {
		for _, a := range at {
			if err := w.relay.listen(netip.AddrPortFrom(a, 53).String()); err != nil {
				return err
			}
		}
		return nil
	})
}

// relay passes DNS questions on to a server. It knows nothing of DNS.
type relay struct {
	to      string
	closers []io.Closer
	serving sync.WaitGroup
}

const relayPatience = 5 * time.Second

// listen takes a port for both protocols and serves it until close.
func (r *relay) listen(address string) error {
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, packets)
	streams, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		return err
	}
	r.closers = append(r.closers, streams)
	r.serving.Go(func() { r.packets(packets) })
	r.serving.Go(func() { r.streams(streams) })
	return nil
}

func (r *relay) close() {
	if r == nil {
		return
	}
	for _, c := range r.closers {
		c.Close()
	}
	r.closers = nil
	r.serving.Wait()
}

func (r *relay) packets(from net.PacketConn) {
	buffer := make([]byte, 64<<10)
	for {
		n, peer, err := from.ReadFrom(buffer)
		if err != nil {
			return
		}
		question := append([]byte(nil), buffer[:n]...)
		r.serving.Go(func() { r.packet(from, peer, question) })
	}
}

// packet drops what fails: whoever asks by UDP asks again.
func (r *relay) packet(from net.PacketConn, peer net.Addr, question []byte) {
	server, err := net.DialTimeout("udp", r.to, relayPatience)
	if err != nil {
		return
	}
	defer server.Close()
	_ = server.SetDeadline(time.Now().Add(relayPatience))
	if _, err := server.Write(question); err != nil {
		return
	}
	answer := make([]byte, 64<<10)
	if n, err := server.Read(answer); err == nil {
		_, _ = from.WriteTo(answer[:n], peer)
	}
}

func (r *relay) streams(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		r.serving.Go(func() { r.stream(client) })
	}
}

func (r *relay) stream(client net.Conn) {
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), relayPatience)
	defer cancel()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	deadline := time.Now().Add(relayPatience)
	_, _ = client.SetDeadline(deadline), server.SetDeadline(deadline)
	var questions sync.WaitGroup
	questions.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(client, server)
	client.Close() // ends the copy of questions
	questions.Wait()
}
