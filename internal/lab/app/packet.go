package main

import (
	"bytes"
	"fmt"
	"net"
)

// repeat answers each datagram with VERSION and what it said; a line of syslog
// (RFC 5424 begins with <) it prints instead.
func repeat(address string) error {
	version := setting("VERSION", "v1") + " "
	return datagrams(address, func(b []byte) []byte {
		if bytes.HasPrefix(b, []byte("<")) {
			fmt.Println(string(b))
			return nil
		}
		return append([]byte(version), b...)
	})
}

// names is the smallest name server: to each question (RFC 1035, 4.1) it
// answers 192.0.2.53.
func names(address string) error {
	return datagrams(address, func(q []byte) []byte {
		end := 12
		for end < len(q) && q[end] != 0 {
			end += 1 + int(q[end])
		}
		if end += 5; end > len(q) {
			return nil
		}
		a := append([]byte{}, q[:2]...)
		a = append(a, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0)
		a = append(a, q[12:end]...)
		if q[end-3] != 1 { // not the type A
			a[7] = 0
			return a
		}
		return append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53)
	})
}

func datagrams(address string, answer func([]byte) []byte) error {
	p, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	b := make([]byte, 64<<10)
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil {
			return err
		}
		if back := answer(b[:n]); back != nil {
			if _, err := p.WriteTo(back, from); err != nil {
				return err
			}
		}
	}
}
