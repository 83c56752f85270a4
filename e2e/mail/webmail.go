package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// The places in Roundcube's pages from which its forms and scripts take their
// values.
var (
	formToken   = regexp.MustCompile(`name="_token" value="([^"]+)"`)
	scriptToken = regexp.MustCompile(`"request_token":"([^"]+)"`)
	composeID   = regexp.MustCompile(`"compose_id":"([^"]+)"`)
	identity    = regexp.MustCompile(`<select name="_from"[^>]*>\s*<option value="(\d+)"`)
	warning     = regexp.MustCompile(`display_message\("([^"]+)","(?:warning|error)"`)
)

// WebmailShows is nil when a person who logs in to the webmail sees a mail with
// the subject in the inbox.
func (s Server) WebmailShows(ctx context.Context, login Login, subject string) error {
	b, err := s.webmailLogin(ctx, login)
	if err != nil {
		return err
	}
	defer b.http.CloseIdleConnections()
	answer, err := b.get(ctx, url.Values{"_task": {"mail"}, "_action": {"list"}, "_mbox": {"INBOX"}, "_remote": {"1"}})
	if err != nil {
		return fmt.Errorf("list the inbox in the webmail: %w", err)
	}
	var list struct{ Exec string }
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return fmt.Errorf("list the inbox in the webmail: %w in %.200q", err, answer)
	}
	shown, err := json.Marshal(html.EscapeString(subject))
	if err != nil {
		return fmt.Errorf("look for subject %q: %w", subject, err)
	}
	if !strings.Contains(list.Exec, strings.Trim(string(shown), `"`)) {
		return fmt.Errorf("the webmail's inbox of %s does not show %q; it shows: %.500s", login.User, subject, list.Exec)
	}
	return nil
}

// WebmailByName is WebmailShows at the name that Front says.
func (s Server) WebmailByName(ctx context.Context, login Login, subject string) error {
	return s.inFront().WebmailShows(ctx, login, subject)
}

// WebmailSends writes and sends m in the webmail, which hands it to the mail
// server in the name of the person who is logged in. From is not used.
func (s Server) WebmailSends(ctx context.Context, login Login, m Message) error {
	b, err := s.webmailLogin(ctx, login)
	if err != nil {
		return err
	}
	defer b.http.CloseIdleConnections()
	page, err := b.get(ctx, url.Values{"_task": {"mail"}, "_action": {"compose"}})
	if err != nil {
		return fmt.Errorf("open the webmail's form for a new mail: %w", err)
	}
	token, id, from := formToken.FindStringSubmatch(page), composeID.FindStringSubmatch(page), identity.FindStringSubmatch(page)
	if token == nil || id == nil || from == nil {
		return errors.New("open the webmail's form for a new mail: it lacks its token, its number or the sender")
	}
	answer, err := b.post(ctx, url.Values{"_task": {"mail"}, "_framed": {"1"}}, url.Values{
		"_token": {token[1]}, "_task": {"mail"}, "_action": {"send"}, "_id": {id[1]}, "_from": {from[1]},
		"_to": {m.To}, "_subject": {m.Subject}, "_message": {m.Body}, "_is_html": {"0"}, "_store_target": {"Sent"},
	})
	if err != nil {
		return fmt.Errorf("send a mail in the webmail: %w", err)
	}
	if !strings.Contains(answer, "sent_successfully") {
		return fmt.Errorf("send a mail in the webmail: %s", complaint(answer))
	}
	return nil
}

// browser is a person's browser: it keeps cookies and knows the page's token.
type browser struct {
	http  *http.Client
	base  string
	token string
}

// webmailLogin fills in the login form as a browser does.
func (s Server) webmailLogin(ctx context.Context, login Login) (*browser, error) {
	if s.Webmail == 0 {
		return nil, errors.New("open the webmail: no port is given for it")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("open the webmail: %w", err)
	}
	b := &browser{
		http: &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{DialContext: s.Dial, TLSClientConfig: s.tlsConfig()}},
		base: "https://" + s.address(s.Webmail) + "/",
	}
	page, err := b.get(ctx, url.Values{"_task": {"login"}})
	if err != nil {
		return nil, fmt.Errorf("open the webmail: %w", err)
	}
	token := formToken.FindStringSubmatch(page)
	if token == nil {
		return nil, fmt.Errorf("open the webmail at %s: its page has no login form", b.base)
	}
	page, err = b.post(ctx, url.Values{"_task": {"login"}}, url.Values{
		"_token": {token[1]}, "_task": {"login"}, "_action": {"login"}, "_timezone": {"UTC"},
		"_user": {login.User}, "_pass": {login.Password},
	})
	if err != nil {
		return nil, fmt.Errorf("log in to the webmail as %s: %w", login.User, err)
	}
	token = scriptToken.FindStringSubmatch(page)
	if token == nil || strings.Contains(page, `id="rcmloginuser"`) {
		return nil, fmt.Errorf("log in to the webmail as %s: %s", login.User, complaint(page))
	}
	b.token = token[1]
	return b, nil
}

func (b *browser) get(ctx context.Context, query url.Values) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+"?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	return b.do(request)
}

func (b *browser) post(ctx context.Context, query, form url.Values) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.base+"?"+query.Encode(), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(request)
}

func (b *browser) do(request *http.Request) (string, error) {
	if b.token != "" {
		request.Header.Set("X-Roundcube-Request", b.token)
	}
	response, err := b.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return "", err
	}
	// A refused login comes with 401 and the page that says why.
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusUnauthorized {
		return "", fmt.Errorf("%s answers %s", request.URL, response.Status)
	}
	return string(body), nil
}

// complaint is what a page would show to the person as its warning.
func complaint(page string) string {
	if says := warning.FindStringSubmatch(page); says != nil {
		return "it says: " + says[1]
	}
	return "it does not say why"
}
