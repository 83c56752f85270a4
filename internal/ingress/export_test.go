package ingress

import (
	"net/http"
	"net/netip"
)

// Turns is what the checks of all services' passwords share.
func Turns(atOnce int) chan struct{} { return make(chan struct{}, atOnce) }

// Checker checks passwords as a service with users does.
func Checker(lines []string, turn chan struct{}) func(*http.Request, netip.Addr) (string, int) {
	return newUsers(lines, turn).check
}

// Carry copies from one connection to another.
var Carry = carry
