package mail

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// PutSieve stores a filter script under a name and makes it the active one,
// over ManageSieve (RFC 5804) with STARTTLS.
func (s Server) PutSieve(ctx context.Context, login Login, name, script string) error {
	conn, err := s.dial(ctx, "ManageSieve", s.Sieve)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := newSieveClient(conn)
	if err := c.startTLS(s.tlsConfig()); err != nil {
		return err
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + login.User + "\x00" + login.Password))
	if err := c.do(`AUTHENTICATE "PLAIN" ` + literal(plain)); err != nil {
		return fmt.Errorf("log in as %s by ManageSieve: %w", login.User, err)
	}
	if err := c.do("PUTSCRIPT " + literal(name) + " " + literal(script)); err != nil {
		return fmt.Errorf("store filter %s: %w", name, err)
	}
	if err := c.do("SETACTIVE " + literal(name)); err != nil {
		return fmt.Errorf("activate filter %s: %w", name, err)
	}
	return c.do("LOGOUT")
}

// sieveClient speaks ManageSieve as far as PutSieve needs it.
type sieveClient struct {
	conn net.Conn
	in   *bufio.Reader
}

func newSieveClient(conn net.Conn) *sieveClient {
	return &sieveClient{conn: conn, in: bufio.NewReader(conn)}
}

func (c *sieveClient) startTLS(config *tls.Config) error {
	if err := c.answer(); err != nil {
		return fmt.Errorf("greeting of ManageSieve: %w", err)
	}
	if err := c.do("STARTTLS"); err != nil {
		return fmt.Errorf("STARTTLS by ManageSieve: %w", err)
	}
	// What came in before the handshake was not secured; nothing may be left of it.
	if c.in.Buffered() > 0 {
		return fmt.Errorf("STARTTLS by ManageSieve: %d bytes came after its OK", c.in.Buffered())
	}
	c.conn = tls.Client(c.conn, config)
	c.in.Reset(c.conn)
	// RFC 5804, 2.2: the server says its capabilities once more, unasked.
	if err := c.answer(); err != nil {
		return fmt.Errorf("greeting of ManageSieve after STARTTLS: %w", err)
	}
	return nil
}

func (c *sieveClient) do(command string) error {
	if _, err := io.WriteString(c.conn, command+"\r\n"); err != nil {
		return err
	}
	return c.answer()
}

// answer reads up to the line that ends a response. Errors: a NO or BYE, with
// the server's words.
func (c *sieveClient) answer() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		word, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(word) {
		case "OK":
			return nil
		case "NO", "BYE":
			return fmt.Errorf("the server says %s: %s", word, rest)
		}
	}
}

// line reads one line, with the literals that it announces in their places.
func (c *sieveClient) line() (string, error) {
	var line strings.Builder
	for {
		part, err := c.in.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("the server's answer: %w", err)
		}
		part = strings.TrimRight(part, "\r\n")
		size, announced := announcedLiteral(part)
		if !announced {
			line.WriteString(part)
			return line.String(), nil
		}
		line.WriteString(part[:strings.LastIndexByte(part, '{')])
		if _, err := io.CopyN(&line, c.in, size); err != nil {
			return "", fmt.Errorf("the server's answer: %w", err)
		}
	}
}

// announcedLiteral reads the {123} at a line's end.
func announcedLiteral(line string) (int64, bool) {
	open := strings.LastIndexByte(line, '{')
	if open < 0 || !strings.HasSuffix(line, "}") {
		return 0, false
	}
	size, err := strconv.ParseInt(strings.TrimSuffix(line[open+1:len(line)-1], "+"), 10, 32)
	return size, err == nil && size >= 0
}

// literal is text in the form that may hold anything.
func literal(text string) string {
	return fmt.Sprintf("{%d+}\r\n%s", len(text), text)
}
