package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"havre/internal/api"
	"havre/internal/problem"
)

// execFailed is the exit code of an exec that could not run its command.
const execFailed = 125

// maxFrame bounds what one message of a caller may hold.
const maxFrame = 1 << 20

func (s *Server) exec(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Executor == nil {
		return absent("executor")
	}
	t, err := target(r, false)
	if err != nil {
		return err
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return &misuse{problem.New(problem.Invalid, "this path speaks websocket only").
			With("use havre exec, or ask for the subprotocol %s", api.ExecProtocol), http.StatusUpgradeRequired}
	}
	s.work.Add(1) // a hijacked connection is not waited for otherwise
	defer s.work.Done()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{api.ExecProtocol}})
	if err != nil {
		s.set.Log.Debug("no websocket", "number", requestID(r), "err", err)
		return nil // Accept has answered
	}
	if conn.Subprotocol() != api.ExecProtocol {
		return closed(conn, websocket.StatusPolicyViolation, "speak "+api.ExecProtocol)
	}
	conn.SetReadLimit(maxFrame)
	ctx, cancel := s.until(r)
	defer cancel()
	start, err := execStart(ctx, conn)
	if err != nil {
		return s.execEnd(r, conn, execFailed, err)
	}
	return s.execRun(ctx, execution{r, conn, t, start})
}

// execution is one exec on its way.
type execution struct {
	r     *http.Request
	conn  *websocket.Conn
	t     api.Target
	start api.ExecStart
}

// execRun pumps messages until the command has ended or the caller has gone.
func (s *Server) execRun(whole context.Context, x execution) error {
	ctx, cancel := context.WithCancel(whole) // of the command; whole is that of the connection
	defer cancel()
	in, feed := io.Pipe()
	resize := make(chan api.Size, 1)
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		defer cancel() // a caller who has gone ends the command
		defer close(resize)
		feed.CloseWithError(pump(whole, x.conn, feed, resize))
	}()
	streams := api.ExecStreams{
		Out:    &frames{ctx, x.conn, api.ExecStdout},
		Err:    &frames{ctx, x.conn, api.ExecStderr},
		Resize: resize,
	}
	if x.start.Stdin {
		streams.In = in
	}
	var code int
	err := calmly(ctx, func(ctx context.Context) (err error) {
		code, err = s.set.Backend.Executor.Exec(ctx, x.t, x.start, streams)
		return err
	})
	if err != nil {
		code = execFailed
	}
	if ctx.Err() != nil && s.life.Err() == nil { // the caller has gone, so there is nobody to tell
		_ = x.conn.CloseNow() // it may be closed already
		in.CloseWithError(io.ErrClosedPipe)
		<-pumped
		return nil
	}
	in.CloseWithError(io.ErrClosedPipe) // the pump must go on to the closing message
	err = s.execEnd(x.r, x.conn, code, err)
	<-pumped
	return err
}

// execEnd tells how it ended and closes.
func (s *Server) execEnd(r *http.Request, conn *websocket.Conn, code int, err error) error {
	end := api.ExecEnd{Code: code}
	if err != nil {
		p := s.shown(r, err)[0]
		end.Problem, end.Remedy, end.Kind = p.Says, p.Remedy, string(p.Kind)
	}
	b, err := json.Marshal(end)
	if err != nil {
		return closed(conn, websocket.StatusInternalError, "internal error "+requestID(r))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	if conn.Write(ctx, websocket.MessageBinary, append([]byte{api.ExecEnded}, b...)) != nil {
		_ = conn.CloseNow() // nobody is there to be told
		return nil
	}
	return closed(conn, websocket.StatusNormalClosure, "")
}

func closed(conn *websocket.Conn, code websocket.StatusCode, why string) error {
	_ = conn.Close(code, why) // the other end may have been quicker
	return nil
}

// execStart waits for the first message.
func execStart(ctx context.Context, conn *websocket.Conn) (start api.ExecStart, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	kind, b, err := conn.Read(ctx)
	if err != nil {
		return start, problem.New(problem.Invalid, "no start message came").Because(err)
	}
	if kind != websocket.MessageText {
		return start, problem.New(problem.Invalid, "the first message is not text")
	}
	if err := strict(bytes.NewReader(b), &start); err != nil {
		return start, problem.New(problem.Invalid, "the start message is not understood").Because(err)
	}
	if len(start.Command) == 0 {
		return start, problem.New(problem.Invalid, "no command was given").With("write it after --")
	}
	return start, nil
}

// pump hands the caller's messages on until one cannot be had or understood.
// io.EOF is the end of input; the connection is still read after it.
func pump(ctx context.Context, conn *websocket.Conn, stdin *io.PipeWriter, resize chan api.Size) error {
	for {
		kind, b, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		if kind != websocket.MessageBinary || len(b) == 0 {
			return errors.New("a message without a kind")
		}
		switch b[0] {
		case api.ExecStdin:
			if len(b) == 1 {
				_ = stdin.Close() // always nil
			} else if _, err := stdin.Write(b[1:]); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				return err
			}
		case api.ExecResize:
			var size api.Size
			if err := strict(bytes.NewReader(b[1:]), &size); err != nil {
				return err
			}
			select {
			case <-resize: // only the last size matters
			default:
			}
			resize <- size
		default:
			return errors.New("a message of unknown kind")
		}
	}
}

// frames writes one kind of output.
type frames struct {
	ctx  context.Context // of the command
	conn *websocket.Conn
	kind byte
}

// Write sends b as one message.
func (f *frames) Write(b []byte) (int, error) {
	message := append([]byte{f.kind}, b...)
	if err := f.conn.Write(f.ctx, websocket.MessageBinary, message); err != nil {
		return 0, err
	}
	return len(b), nil
}
