package ingress

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// tryAgain is in how many seconds a client should, where it makes sense.
const tryAgain = 5

// said is what a person reads about a status. Nothing in it comes from the
// request or from a container.
var said = map[int]string{
	http.StatusBadRequest:            "The request is not as HTTP wants it.",
	http.StatusUnauthorized:          "This service asks for a name and a password.",
	http.StatusForbidden:             "This service cannot be reached from where you are.",
	http.StatusNotFound:              "No service has this name here.",
	http.StatusMethodNotAllowed:      "Services do not take this method.",
	http.StatusRequestTimeout:        "The rest of the request did not come in time.",
	http.StatusRequestEntityTooLarge: "This is more than the service takes.",
	http.StatusMisdirectedRequest:    "The connection was made for another name.",
	http.StatusTooManyRequests:       "You asked too often.",
	http.StatusBadGateway:            "The service did not answer.",
	http.StatusServiceUnavailable:    "The service is not running at the moment.",
}

// twofoldSays is what is said of a path where that is wrong.
const twofoldSays = "This address could be read in two ways, which lead to two services."

// refuse answers for a service that does not: a small page for browsers,
// problem+json (RFC 9457) for programs, both with the request's id.
func refuse(v *visit, r *http.Request, status int) {
	title, detail := http.StatusText(status), cmp.Or(v.says, said[status])
	kind, body := "text/html; charset=utf-8", fmt.Sprintf(page, title, title, detail, v.id)
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		b, _ := json.Marshal(map[string]any{"status": status, "title": title, "detail": detail, "requestId": v.id}) // text and a number
		kind, body = "application/problem+json", string(b)+"\n"
	}
	h := v.Header()
	switch status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(tryAgain))
	case http.StatusTooManyRequests:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(v.again.Seconds()))))
	case http.StatusMethodNotAllowed:
		h.Set("Allow", allowed)
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="Havre", charset="UTF-8"`)
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge:
		if !v.http2 {
			h.Set("Connection", "close") // the rest of the body is nobody's
		}
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	v.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprint(v, body)
	}
}

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>%s</title>
<style>body { font: 1.1em/1.5 sans-serif; max-width: 32em; margin: 20vh auto; padding: 0 1em }</style>
<h1>%s</h1>
<p>%s</p>
<p><small>Request %s</small></p>
</html>
`
