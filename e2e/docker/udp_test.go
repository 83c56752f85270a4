package docker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/lab"
)

// packets is a name server, a syslog and a game on a range of ports.
const packets = `
services:
  talk:
    image: app:1
    environment: {VERSION: %s, HTTP: '8080,8081', DNS: '53', UDP: '514,6000,6001,6002'}
    ports: ["18153:53/udp", "127.0.0.1:18154:514/udp", "18160-18162:6000-6002/udp", "18160-18161:8080-8081"]
`

// says sends a datagram until an answer comes, and gives that.
func (h *havre) says(t *testing.T, port int, word string) string {
	t.Helper()
	var heard string
	lab.Eventually(t, fmt.Sprintf("an answer from port %d/udp", port), func(ctx context.Context) error {
		c, err := h.world.Dial(ctx, "udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		defer c.Close()
		heard, err = said(c, word)
		return err
	})
	return heard
}

func said(c net.Conn, word string) (string, error) {
	if _, err := c.Write([]byte(word)); err != nil {
		return "", err
	}
	c.SetReadDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, 2000)
	n, err := c.Read(b)
	return string(b[:n]), err
}

func TestServicesSpeakUDP(t *testing.T) {
	t.Parallel()
	h := up(t)
	out := h.apply(t, "packets", fmt.Sprintf(packets, "v1"))
	has(t, "apply", out, "talk", "healthy")
	t.Run("names", func(t *testing.T) {
		names := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return h.world.Dial(ctx, "udp", "127.0.0.1:18153")
		}}
		lab.Eventually(t, "the name server", func(ctx context.Context) error {
			found, err := names.LookupHost(ctx, "anything.example.")
			if err == nil && (len(found) != 1 || found[0] != "192.0.2.53") {
				err = fmt.Errorf("found %v", found)
			}
			return err
		})
	})
	t.Run("syslog", func(t *testing.T) {
		c, err := h.world.Dial(t.Context(), "udp", "127.0.0.1:18154")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		lab.Eventually(t, "the line in the log", func(context.Context) error {
			if _, err := c.Write([]byte("<34>1 - host su - - - a line of syslog")); err != nil {
				return err
			}
			if !strings.Contains(h.must(t, "logs", "packets.talk"), "a line of syslog") {
				return errors.New("not there")
			}
			return nil
		})
	})
	t.Run("two players, each port of the range", func(t *testing.T) {
		var players sync.WaitGroup
		for port := 18160; port <= 18162; port++ {
			if got := h.says(t, port, "hello"); got != "v1 hello" {
				t.Errorf("port %d says %q", port, got)
			}
		}
		for player := range 2 {
			players.Go(func() { play(t, h, 18161, player) })
		}
		players.Wait()
	})
	if r := h.run(t, "apply", "-f", h.write(t, "other.yml", "services:\n  dns:\n    image: app:1\n    ports: ['18150-18155:6000-6005/udp']\n"), "-p", "other", "--yes"); r.code == 0 {
		t.Error("two services have one UDP port")
		h.removeLater(t, "other")
	} else {
		has(t, "the refusal", r.out+r.errs, "18153/udp", "packets.talk")
	}
	t.Run("an update", func(t *testing.T) {
		c, err := h.world.Dial(t.Context(), "udp", "127.0.0.1:18160")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		h.apply(t, "packets", fmt.Sprintf(packets, "v2"))
		if got := h.says(t, 18160, "who"); got != "v2 who" {
			t.Errorf("a new client hears %q", got)
		}
	})
}

// play sends a thousand datagrams and wants each back.
func play(t *testing.T, h *havre, port, player int) {
	c, err := h.world.Dial(t.Context(), "udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	lost := 0
	for i := range 1000 {
		word := fmt.Sprintf("player %d moves %d", player, i)
		got, err := said(c, word)
		if err != nil {
			lost++
			continue
		}
		if got != "v1 "+word {
			t.Errorf("%q was answered by %q", word, got)
			return
		}
	}
	if lost > 10 { // datagrams may be lost, on one machine hardly ever
		t.Errorf("%d of 1000 were lost", lost)
	}
}
