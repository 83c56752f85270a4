package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/coder/websocket"

	"havre/internal/api"
	"havre/internal/problem"
)

// Exec runs a command in a container of a service and gives its code. The
// error says why it could not be run. A read of In that is going on when the
// command ends is left behind.
func (c *Client) Exec(ctx context.Context, t api.Target, start api.ExecStart, s api.ExecStreams) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := c.socket(ctx, named(api.PathExec, api.PathExec, t))
	if err != nil {
		return 0, err
	}
	defer conn.CloseNow() //nolint:errcheck // a second close is no news
	conn.SetReadLimit(1 << 20)
	first, err := json.Marshal(start)
	if err != nil {
		return 0, err
	}
	if err := conn.Write(ctx, websocket.MessageText, first); err != nil {
		return 0, c.broken(ctx, err)
	}
	if start.Stdin && s.In != nil {
		go send(ctx, conn, s.In) // a read of a terminal cannot be broken off; it ends with the process
	}
	go resizes(ctx, conn, s.Resize)
	return c.receive(ctx, conn, s)
}

// socket opens the connection; a refusal comes back as a problem.
func (c *Client) socket(ctx context.Context, k call) (*websocket.Conn, error) {
	_, address := c.address(k)
	o := &websocket.DialOptions{HTTPClient: c.http, Subprotocols: []string{api.ExecProtocol}, HTTPHeader: map[string][]string{}}
	c.sign(o.HTTPHeader)
	conn, resp, err := websocket.Dial(ctx, address, o)
	switch {
	case err == nil && conn.Subprotocol() != api.ExecProtocol:
		_ = conn.CloseNow() // it does not speak our language
		return nil, problem.New(problem.Unavailable, "the server does not speak %s", api.ExecProtocol).With("use a client of the server's version")
	case err == nil:
		return conn, nil
	case resp != nil && resp.Body != nil:
		defer resp.Body.Close() //nolint:errcheck // read, never written
		return nil, problemOf(resp)
	}
	return nil, c.unreachable(ctx, err)
}

// receive writes what comes until the end is told.
func (c *Client) receive(ctx context.Context, conn *websocket.Conn, s api.ExecStreams) (int, error) {
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return 0, c.broken(ctx, err)
		}
		if len(b) == 0 {
			continue
		}
		switch b[0] {
		case api.ExecStdout:
			_, err = s.Out.Write(b[1:])
		case api.ExecStderr:
			_, err = s.Err.Write(b[1:])
		case api.ExecEnded:
			_ = conn.Close(websocket.StatusNormalClosure, "") // the outcome is known
			return ended(b[1:])
		}
		if err != nil {
			return 0, problem.New(problem.Failed, "write the command's output").Because(err)
		}
	}
}

func ended(b []byte) (int, error) {
	var end api.ExecEnd
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&end); err != nil {
		return 0, problem.New(problem.Unavailable, "the server's last message is not understood").Because(err)
	}
	if end.Problem == "" {
		return end.Code, nil
	}
	return end.Code, api.Problem{Kind: problem.Kind(end.Kind), Detail: end.Problem, Remedy: end.Remedy}.Error()
}

// send passes input on, and its end.
func send(ctx context.Context, conn *websocket.Conn, in io.Reader) {
	buffer := make([]byte, 1+32<<10)
	buffer[0] = api.ExecStdin
	for {
		n, err := in.Read(buffer[1:])
		if n > 0 && conn.Write(ctx, websocket.MessageBinary, buffer[:1+n]) != nil {
			return // the reader of answers tells why
		}
		if errors.Is(err, io.EOF) {
			_ = conn.Write(ctx, websocket.MessageBinary, buffer[:1]) // likewise
		}
		if err != nil {
			return
		}
	}
}

func resizes(ctx context.Context, conn *websocket.Conn, sizes <-chan api.Size) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			b, err := json.Marshal(size)
			if err != nil || conn.Write(ctx, websocket.MessageBinary, append([]byte{api.ExecResize}, b...)) != nil {
				return // the reader of answers tells why
			}
		}
	}
}
