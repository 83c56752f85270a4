package mail_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"havre/e2e/mail"
)

func TestFilterIsStoredAndActivated(t *testing.T) {
	port, heard := sieveWorld(t, "OK")
	script := "keep;\r\n# {3}\r\n"
	if err := (mail.Server{Sieve: port}).PutSieve(t.Context(), alice, "proof", script); err != nil {
		t.Fatal(err)
	}
	text := <-heard
	for _, want := range []string{"AUTHENTICATE \"PLAIN\"", "PUTSCRIPT {5+}\r\nproof {14+}\r\n" + script, "SETACTIVE {5+}\r\nproof"} {
		if !strings.Contains(text, want) {
			t.Errorf("the server did not hear %q:\n%s", want, text)
		}
	}
}

func TestRefusedFilterSaysTheServersWords(t *testing.T) {
	port, _ := sieveWorld(t, "NO {16}\r\nunknown\r\ncommand")
	err := mail.Server{Sieve: port}.PutSieve(t.Context(), alice, "proof", "foo;")
	if err == nil || !strings.Contains(err.Error(), "unknown\r\ncommand") {
		t.Errorf("got %v; want the words in the literal", err)
	}
}

// sieveWorld speaks ManageSieve once and gives all that it heard under TLS. It
// answers the first command after the login with answer, the others with OK.
func sieveWorld(t *testing.T, answer string) (port int, heard <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := certificate(t)
	all := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var text strings.Builder
		speakSieve(conn, config, answer, &text)
		all <- text.String()
	}()
	t.Cleanup(func() { listener.Close(); <-ended })
	return listener.Addr().(*net.TCPAddr).Port, all
}

func speakSieve(conn net.Conn, config *tls.Config, answer string, heard io.Writer) {
	io.WriteString(conn, "\"IMPLEMENTATION\" {5}\r\nsi\r\ne\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "STARTTLS\r\n" {
		return
	}
	io.WriteString(conn, "OK\r\n")
	secured := tls.Server(conn, config)
	io.WriteString(secured, "\"SASL\" \"PLAIN\"\r\nOK\r\n")
	answers := map[string]string{"AUTHENTICATE": "OK", "PUTSCRIPT": answer, "SETACTIVE": "OK", "LOGOUT": "OK"}
	lines := bufio.NewScanner(io.TeeReader(secured, heard))
	for lines.Scan() {
		verb, _, _ := strings.Cut(lines.Text(), " ")
		if says, known := answers[verb]; known {
			io.WriteString(secured, says+"\r\n")
		}
		if verb == "LOGOUT" {
			return
		}
	}
}
