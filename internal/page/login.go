package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// cookie holds when a login ends and the proof that whoever has it knew the
// token. It opens these pages and nothing of the API.
const (
	cookie    = "havre"
	loginTime = 12 * time.Hour
)

func (p *Pages) proof(until string) string {
	m := hmac.New(sha256.New, []byte(p.set.Token.Reveal()))
	m.Write([]byte("status page until " + until))
	return hex.EncodeToString(m.Sum(nil))
}

func (p *Pages) known(r *http.Request) bool {
	c, err := r.Cookie(cookie)
	if err != nil || p.set.Token.Reveal() == "" {
		return false
	}
	until, proof, _ := strings.Cut(c.Value, ".")
	end, err := strconv.ParseInt(until, 10, 64)
	return err == nil && hmac.Equal([]byte(proof), []byte(p.proof(until))) && time.Now().Unix() < end
}

// inside shows a page to who is logged in, and the door to others.
func (p *Pages) inside(page func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.known(r) {
			p.show(w, http.StatusUnauthorized, "login.html", view{Title: "Log in"})
			return
		}
		if err := page(w, r); err != nil {
			p.fail(w, err)
		}
	}
}

func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	if !p.set.Token.Equal(strings.TrimSpace(r.PostFormValue("token"))) {
		p.show(w, http.StatusUnauthorized, "login.html", view{Title: "Log in", Wrong: "This token is wrong."})
		return
	}
	until := strconv.FormatInt(time.Now().Add(loginTime).Unix(), 10)
	p.give(w, until+"."+p.proof(until), int(loginTime.Seconds()))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	p.give(w, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// give gives the cookie. It is not marked Secure: the API is on loopback, where
// there is no TLS.
func (p *Pages) give(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}
