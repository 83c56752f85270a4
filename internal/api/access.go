package api

import "time"

// AccessPage is a part of an access log, and where the next one begins.
type AccessPage struct {
	Lines []Access `json:"lines" doc:"oldest first, in the order in which they ended"`
	Next  string   `json:"next" doc:"what after is for the next part"`
	More  bool     `json:"more,omitempty" doc:"there is more already"`
	Lost  bool     `json:"lost,omitempty" doc:"lines after the position are not kept any more"`
}

// Access is a request or a connection that came to a service and is over.
type Access struct {
	Time     time.Time `json:"time" doc:"when it began"`
	ID       string    `json:"id,omitempty" doc:"of the request, as in X-Request-Id"`
	Client   string    `json:"client" doc:"the true address"`
	Protocol string    `json:"protocol" doc:"as HTTP/1.1, or the port as :25/tcp"`
	Secure   bool      `json:"secure,omitempty" doc:"it came by TLS"`
	Method   string    `json:"method,omitempty"`
	Host     string    `json:"host,omitempty"`
	Path     string    `json:"path,omitempty" doc:"without the query, which may hold secrets"`
	Status   int       `json:"status,omitempty" doc:"left out: the client left first, or it is no request"`
	Denied   bool      `json:"denied,omitempty" doc:"a connection that was turned away"`
	In       int64     `json:"in" doc:"bytes from the client"`
	Out      int64     `json:"out" doc:"bytes to the client"`
	Seconds  float64   `json:"seconds" doc:"that it took"`
	Replica  string    `json:"replica,omitempty" doc:"the container that had it"`
}
