package main

import (
	"context"
	"net"
	"net/netip"
)

// names asks the name service at server, and no file, which IPv4 addresses
// name has. Two things it must not do take care: the standard resolver reads
// /etc/hosts unless nsswitch.conf says otherwise, so the image has one that
// does; and a shared resolver gives callers the answer to an earlier
// caller's question, so each question gets a resolver of its own.
func names(server string) lookupFunc {
	return func(ctx context.Context, name string) ([]netip.Addr, error) {
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
