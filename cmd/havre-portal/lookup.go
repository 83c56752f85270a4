package main

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// questions is how many names are asked for at a time: Go's resolver needs
// much memory for each.
const questions = 32

// overdue is when an answer won't be the engine's own, which come at once:
// it asks the host's name servers, or has too much to do.
const overdue = 2 * time.Second

// names asks the name service at server, and no file, which IPv4 addresses
// name has. Two habits of the standard resolver are kept out: it reads
// /etc/hosts unless nsswitch.conf says otherwise, so the image has one that
// does; and it gives callers the answer to an earlier caller's question when
// it is shared, so each question gets a resolver of its own.
func names(server string) lookupFunc {
	asking := make(chan struct{}, questions)
	return func(ctx context.Context, name string) ([]netip.Addr, error) {
		select {
		case asking <- struct{}{}:
			defer func() { <-asking }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(ctx, overdue)
		defer cancel()
		r := net.Resolver{
			PreferGo: true,
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, server)
			},
		}
		return r.LookupNetIP(ctx, "ip4", name+".") // with the dot no search domain is tried
	}
}
