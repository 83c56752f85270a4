package mail

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// step is one thing that a mail server must do, or must not.
type step struct {
	says string
	do   func(ctx context.Context) error
}

// Prove shows that a mail server does its work and refuses what it must. It
// says each step when it has passed and stops at the first that does not. The
// account must exist; it gets five mails, a folder Proof and a filter "proof",
// which replaces the active one.
func Prove(ctx context.Context, s Server, user, password string, say func(string)) error {
	p := proof{server: s, login: Login{User: user, Password: password}, tag: strconv.FormatInt(time.Now().UnixNano(), 36)}
	_, p.domain, _ = strings.Cut(user, "@")
	for _, step := range p.steps() {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.says, err)
		}
		say(step.says)
	}
	return nil
}

// proof is one run of Prove; the tag tells its mails from all others.
type proof struct {
	server Server
	login  Login
	domain string
	tag    string
}

func (p proof) steps() []step {
	wrong := Login{User: p.login.User, Password: "not-" + p.login.Password}
	steps := []step{
		{"a wrong password is refused", func(ctx context.Context) error {
			return p.server.LoginFails(ctx, wrong)
		}},
		{"the right password is refused as long as there is no TLS", func(ctx context.Context) error {
			return p.server.PlaintextRefused(ctx, p.login)
		}},
		{"relaying is refused", func(ctx context.Context) error {
			return p.server.RelayRefused(ctx, "somebody@elsewhere.example")
		}},
		{"mail to an unknown mailbox is refused", func(ctx context.Context) error {
			return p.server.MailboxUnknown(ctx, "nobody-"+p.tag+"@"+p.domain)
		}},
		{"mail sent over STARTTLS with a login arrives and is read over IMAPS", p.arrives},
		{"mail from another server arrives", p.arrivesFromElsewhere},
		{"a sieve filter files a mail", p.isFiled},
		{"the webmail logs in and shows the mail", func(ctx context.Context) error {
			return p.server.WebmailShows(ctx, p.login, p.subject("submitted"))
		}},
		{"mail written in the webmail arrives", p.arrivesFromWebmail},
	}
	if front := p.server.Front; front != nil {
		steps = append(steps, step{"the webmail is at https://" + p.server.inFront().address(front.Port) + "/, with a certificate that the root signed", func(ctx context.Context) error {
			return p.server.WebmailByName(ctx, p.login, p.subject("submitted"))
		}}, step{"SMTP, IMAP and ManageSieve have that certificate, too", p.server.Certified})
	}
	return steps
}

func (p proof) arrives(ctx context.Context) error {
	m := Message{To: p.login.User, Subject: p.subject("submitted"), Body: "Sent over STARTTLS, " + p.tag}
	if err := p.server.Send(ctx, m, p.login); err != nil {
		return err
	}
	return p.reads(ctx, "INBOX", m)
}

func (p proof) arrivesFromElsewhere(ctx context.Context) error {
	m := Message{From: "friend@elsewhere.example", To: p.login.User, Subject: p.subject("elsewhere"), Body: "From far, " + p.tag}
	if err := p.server.SendUnauthenticated(ctx, m); err != nil {
		return err
	}
	return p.reads(ctx, "INBOX", m)
}

func (p proof) isFiled(ctx context.Context) error {
	m := Message{To: p.login.User, Subject: p.subject("filed"), Body: "For the folder, " + p.tag}
	script := `require ["fileinto", "mailbox"];` + "\r\n" +
		`if header :is "subject" "` + m.Subject + `" { fileinto :create "Proof"; }` + "\r\n"
	if err := p.server.PutSieve(ctx, p.login, "proof", script); err != nil {
		return err
	}
	if err := p.server.Send(ctx, m, p.login); err != nil {
		return err
	}
	return p.reads(ctx, "Proof", m)
}

func (p proof) arrivesFromWebmail(ctx context.Context) error {
	m := Message{To: p.login.User, Subject: p.subject("webmail"), Body: "Written in the webmail, " + p.tag}
	if err := p.server.WebmailSends(ctx, p.login, m); err != nil {
		return err
	}
	return p.reads(ctx, "INBOX", m)
}

// reads waits for m and looks whether its words came along.
func (p proof) reads(ctx context.Context, mailbox string, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := p.server.WaitForMail(ctx, p.login, mailbox, m.Subject)
	if err != nil {
		return err
	}
	if !strings.Contains(text, m.Body) {
		return fmt.Errorf("mail %q arrived without its words; it reads: %.500q", m.Subject, text)
	}
	return nil
}

func (p proof) subject(of string) string { return "Proof " + p.tag + " " + of }
