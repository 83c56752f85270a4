package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// events passes on the events of this instance's containers.
func (g *Guard) events(w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
	a, err := g.send(r, call)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if err := failed(a); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	if out.Flush() != nil {
		return nil
	}
	d := json.NewDecoder(a.Body)
	for {
		var line json.RawMessage
		if err := d.Decode(&line); err != nil {
			return nil // the engine or the caller went away; what was written stands
		}
		if !policy.Owned(g.instance, labelsAt("Actor", "Attributes")(line)) {
			continue
		}
		if _, err := w.Write(append(line, '\n')); err != nil || out.Flush() != nil {
			return nil
		}
	}
}

// execStart runs a prepared command: detached like any call, or on a
// connection that both sides upgrade.
func (g *Guard) execStart(w http.ResponseWriter, r *http.Request, call dockercall.Call) error {
	start, ok := call.(*dockercall.ExecStart)
	if !ok {
		return problem.New(problem.Internal, "ExecStart has an unexpected form")
	}
	upgraded := r.Header.Get("Upgrade") != ""
	if upgraded == start.Spec.Detach {
		return &problem.Problem{Kind: problem.Invalid, Says: "a command is started detached, or on an upgraded connection", Rule: string(dockercall.BadHeader)}
	}
	if start.Spec.Detach {
		a, err := g.send(r, call)
		if err == nil {
			pass(w, a)
		}
		return err
	}
	wire, err := dockercall.Write(call)
	if err != nil {
		return err
	}
	return g.upgrade(w, r, wire)
}

// upgrade opens a connection of its own to the engine, and joins it with the
// caller's when the engine agrees.
func (g *Guard) upgrade(w http.ResponseWriter, r *http.Request, wire dockercall.Wire) error {
	out, err := g.engine.request(r.Context(), wire, nil)
	if err != nil {
		return err
	}
	out.Header.Set("Connection", "Upgrade")
	out.Header.Set("Upgrade", "tcp")
	inside, err := g.engine.dial(r.Context())
	if err != nil {
		return problem.New(problem.Unavailable, "the Docker engine does not answer").Because(err)
	}
	defer inside.Close()
	if err := out.Write(inside); err != nil {
		return err
	}
	answers := bufio.NewReader(inside)
	a, err := http.ReadResponse(answers, out)
	if err != nil {
		return err
	}
	if a.StatusCode != http.StatusSwitchingProtocols {
		defer a.Body.Close()
		if err := failed(a); err != nil {
			return err
		}
		return fmt.Errorf("the engine answers %s, not an upgrade", a.Status)
	}
	outside, rest, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer outside.Close()
	fmt.Fprintf(outside, "HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", oneLine(a.Header.Get("Content-Type")))
	// The request's own context ends with the caller's input (net/http).
	join(guardLife(r.Context()), side{outside, rest.Reader}, side{inside, answers})
	return nil
}

func oneLine(s string) string {
	if s == "" {
		return "application/vnd.docker.raw-stream"
	}
	return s // net/http has refused line breaks in it
}

// side is one end: its connection, and the reader that may hold bytes already.
type side struct {
	net.Conn
	from *bufio.Reader
}

// join copies both ways until the inside ends, or ctx. The caller's end of
// input is passed on as such: the command may have more to say.
func join(ctx context.Context, outside, inside side) {
	stop := context.AfterFunc(ctx, func() {
		outside.Close()
		inside.Close()
	})
	defer stop()
	var input sync.WaitGroup
	input.Go(func() {
		io.Copy(inside.Conn, outside.from)
		if half, ok := inside.Conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	})
	io.Copy(outside.Conn, inside.from)
	outside.Close()
	inside.Close()
	input.Wait()
}
