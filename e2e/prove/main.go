// Command prove asks a mail server of examples/mail, with ordinary clients,
// whether it does all that it should. The account's password comes by standard
// input.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
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
	return mail.Prove(ctx, s, *user, strings.TrimSpace(password), func(line string) { fmt.Println("  " + line) })
}
