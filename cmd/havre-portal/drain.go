package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"time"
)

// look is how often a portal looks whether it was replaced, and one that was,
// whether a connection is left.
const look = time.Second

// ownConnections are the kernel's tables of this network namespace: sockets
// that were handed out live here, whoever holds them. The tables of IPv6 are
// not among them, because a portal makes no such connection.
var ownConnections = [...]string{"/proc/self/net/tcp", "/proc/self/net/udp"}

// drain waits until no connection is left that was handed out, or ctx ends.
func drain(ctx context.Context, connected func() bool) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for connected() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// anyConnected tells whether one of the tables has a connection. What cannot
// be read counts as one: who ends cuts everything.
func anyConnected() bool {
	for _, table := range ownConnections {
		f, err := os.Open(table)
		if err != nil {
			return true
		}
		found := connectedIn(bufio.NewScanner(f))
		f.Close()
		if found {
			return true
		}
	}
	return false
}

// States of a socket in the kernel's tables (include/net/tcp_states.h).
const (
	finWait2 = "05"
	timeWait = "06"
	closed   = "07" // also a UDP socket that speaks with nobody in particular
	listens  = "0A"
)

// connectedIn goes through a table of the kernel: a head, and a line for each
// socket with its number, both ends, its state, and in the tenth column its
// inode, which is 0 when nobody holds it any more.
func connectedIn(table *bufio.Scanner) bool {
	for table.Scan() {
		column := bytes.Fields(table.Bytes())
		if len(column) < 10 {
			return true // no table that we know
		}
		if string(column[0]) == "sl" {
			continue
		}
		switch string(column[3]) {
		case listens, timeWait, closed:
		case finWait2: // all was said; if nobody holds it, nobody waits for an answer
			if string(column[9]) != "0" {
				return true
			}
		default:
			return true
		}
	}
	return table.Err() != nil
}
