package main

import (
	"context"
	"net"
	"net/netip"
)

// questions is how many names are asked for at a time: Go's resolver needs
// much memory for each, and an engine has its answer at once.
const questions = 16

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
