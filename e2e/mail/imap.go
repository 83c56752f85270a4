package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// between is the pause between two looks into a mailbox.
const between = 300 * time.Millisecond

// errNotYet says that a mailbox or a mail is not there; it may still come.
var errNotYet = errors.New("not there")

// WaitForMail looks into a mailbox over IMAPS until a mail with the subject is
// there, and returns the whole mail, of several the newest. It outlives a server that is being
// restarted, but not a refused login. It gives up when ctx ends, or after a minute
// if ctx has no deadline.
func (s Server) WaitForMail(ctx context.Context, login Login, mailbox, subject string) (string, error) {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	var last error
	for ctx.Err() == nil {
		text, err := s.watch(ctx, login, mailbox, subject)
		if err == nil || refused(err) {
			return text, err
		}
		if ctx.Err() == nil || last == nil || errors.Is(err, errNotYet) {
			last = err
		}
		pause(ctx)
	}
	return "", fmt.Errorf("waited in vain for %q in %s of %s: %w", subject, mailbox, login.User, cmp.Or(last, ctx.Err()))
}

// watch looks again and again by one connection, until the mail is found, the
// connection breaks or ctx ends.
func (s Server) watch(ctx context.Context, login Login, mailbox, subject string) (string, error) {
	c, err := s.imaps(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.Login(login.User, login.Password).Wait(); err != nil {
		return "", fmt.Errorf("log in as %s by IMAPS: %w", login.User, err)
	}
	var missing error
	for ctx.Err() == nil {
		text, err := find(c, mailbox, subject)
		switch {
		case errors.Is(err, errNotYet):
			missing = err
			pause(ctx)
		case err != nil && ctx.Err() != nil && missing != nil:
			// When time is up the connection breaks; what was seen before says more.
			return "", missing
		default:
			return text, err
		}
	}
	return "", cmp.Or(missing, ctx.Err())
}

// pause lets some time pass, less if ctx ends.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(between):
	}
}

// LoginFails is nil when the server refuses the login, by IMAPS and on the
// submission port. A server that does not answer is an error: it refused nobody.
func (s Server) LoginFails(ctx context.Context, login Login) error {
	c, err := s.imaps(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Login(login.User, login.Password).Wait()
	switch {
	case err == nil:
		return fmt.Errorf("IMAPS let %s in", login.User)
	case !refused(err):
		return fmt.Errorf("log in as %s by IMAPS: want the answer NO, not: %w", login.User, err)
	}
	return s.submissionRefuses(ctx, login)
}

// PlaintextRefused is nil when the right login is refused as long as there is
// no TLS, on the IMAP and on the submission port.
func (s Server) PlaintextRefused(ctx context.Context, login Login) error {
	conn, err := s.dial(ctx, "IMAP", s.IMAP)
	if err != nil {
		return err
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	if err := c.WaitGreeting(); err != nil {
		return fmt.Errorf("greeting of IMAP: %w", err)
	}
	err = c.Login(login.User, login.Password).Wait()
	switch {
	case err == nil:
		return fmt.Errorf("IMAP let %s in without TLS", login.User)
	case !refused(err):
		return fmt.Errorf("log in by IMAP without TLS: want the answer NO, not: %w", err)
	}
	return s.submissionWantsTLS(ctx)
}

// find looks once. Errors: errNotYet when the mailbox or the mail is missing.
func find(c *imapclient.Client, mailbox, subject string) (string, error) {
	_, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if saysNo(err) {
		// A filter makes folders as it needs them.
		return "", fmt.Errorf("open mailbox %s: %w (%v)", mailbox, errNotYet, err)
	}
	if err != nil {
		return "", fmt.Errorf("open mailbox %s: %w", mailbox, err)
	}
	criteria := &imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: subject}}}
	found, err := c.UIDSearch(criteria, nil).Wait()
	if err != nil {
		return "", fmt.Errorf("search mailbox %s: %w", mailbox, err)
	}
	uids := found.AllUIDs()
	if len(uids) == 0 {
		return "", fmt.Errorf("a mail with that subject: %w", errNotYet)
	}
	return fetch(c, slices.Max(uids))
}

// fetch reads a whole mail and leaves it unread.
func fetch(c *imapclient.Client, uid imap.UID) (string, error) {
	whole := &imap.FetchItemBodySection{Peek: true}
	mails, err := c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		return "", fmt.Errorf("fetch mail %d: %w", uid, err)
	}
	if len(mails) != 1 {
		return "", fmt.Errorf("fetch mail %d: %w, %d answers", uid, errNotYet, len(mails))
	}
	return string(mails[0].FindBodySection(whole)), nil
}

func (s Server) imaps(ctx context.Context) (*imapclient.Client, error) {
	conn, err := s.dialTLS(ctx, "IMAPS", s.IMAPS)
	if err != nil {
		return nil, err
	}
	return imapclient.New(conn, nil), nil
}

// refused tells a login that the server answered with NO from a lost connection
// and from what may still come.
func refused(err error) bool { return saysNo(err) && !errors.Is(err, errNotYet) }

func saysNo(err error) bool {
	var answer *imap.Error
	return errors.As(err, &answer) && answer.Type == imap.StatusResponseTypeNo
}
