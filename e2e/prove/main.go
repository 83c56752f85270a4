// Command prove asks a mail server of examples/mail, with ordinary clients,
// whether it does all that it should. The account's password comes by standard
// input. It can also ask whether an alert has come to the account.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"havre/e2e/mail"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "not proved:", err)
		os.Exit(1)
	}
}

func run() error {
	host := flag.String("host", "127.0.0.1", "where the server is")
	offset := flag.Int("offset", 0, "added to each port")
	user := flag.String("user", "demo@example.org", "an account that is there")
	front := flag.String("front", "", "name:port at which an ingress serves the webmail")
	root := flag.String("root", "", "file with the only root that may have signed its certificate")
	told := flag.String("told", "", "prove instead that a mail came with this in its subject")
	since := flag.Int64("since", 0, "and that it was written at this second since 1970 or later")
	flag.Parse()
	password, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s := mail.Server{
		Host: *host, SMTP: 25 + *offset, Submission: 587 + *offset, SMTPS: 465 + *offset,
		IMAP: 143 + *offset, IMAPS: 993 + *offset, Sieve: 4190 + *offset, Webmail: 4443 + *offset,
	}
	login := mail.Login{User: *user, Password: strings.TrimSpace(password)}
	if *told != "" {
		letter, err := s.Told(ctx, login, *told, time.Unix(*since, 0))
		fmt.Print(indented(letter))
		return err
	}
	if *front != "" {
		if s.Front, err = inFront(*front, *root); err != nil {
			return err
		}
	}
	return mail.Prove(ctx, s, login.User, login.Password, func(line string) { fmt.Println("  " + line) })
}

func inFront(at, root string) (*mail.Front, error) {
	name, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port of %s: %w", at, err)
	}
	text, err := os.ReadFile(root)
	if err != nil {
		return nil, err
	}
	return &mail.Front{Name: name, Port: int(number), Root: string(text)}, nil
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}
