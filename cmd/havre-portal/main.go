// Havre-portal opens connections inside an environment's networks and hands
// the connected sockets out, over a unix socket, to the ingress of its node.
//
// It runs without privileges in a container of its own that is attached to
// the environment's networks. It believes nobody: a caller names a container
// by id and by address, and only where the engine's own name service agrees
// that the one is the other, and nothing else is, a connection is made. It
// answers root and the users that it was started for: who may open the socket
// is not enough, since whoever has the directory could change that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"havre/internal/thrift"
)

// engineNames is where the engine answers for names inside every container.
const engineNames = "127.0.0.11:53"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "havre-portal:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("havre-portal", flag.ContinueOnError)
	socket := flags.String("socket", "/portal/portal.sock", "unix socket to listen on")
	callers := flags.String("callers", "", "numbers of the users, besides root, that are served, with commas between")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return errors.New("no arguments are wanted, only -socket and -callers")
	}
	served, err := usersOf(*callers)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	stayResident(ctx)
	self, err := os.Hostname() // of a container: its id
	if err != nil {
		return err
	}
	stand, err := takeOver(*socket, self)
	if errors.Is(err, errReplaced) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", *socket, err)
	}
	p := newPortal(engineNames)
	p.callers = served
	return p.hold(ctx, stand)
}

// usersOf reads the numbers of users.
func usersOf(list string) ([]uint32, error) {
	var users []uint32
	for word := range strings.SplitSeq(list, ",") {
		if list == "" {
			break
		}
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("-callers: %q is not the number of a user", word)
		}
		users = append(users, uint32(n))
	}
	return users, nil
}

// errStopped makes the engine start this portal again when it comes back
// itself: it does that only with what did not end well. A portal that was
// replaced ends well, and stays ended.
var errStopped = errors.New("told to stop")

// hold serves until the name is another portal's, and then stays for as long
// as a connection does. What was handed over would die with this process.
func (p *portal) hold(ctx context.Context, s *stand) error {
	held, end := s.untilLost(ctx)
	defer end()
	if err := p.serve(held, s.UnixListener); err != nil {
		return err
	}
	if !s.lost() {
		return errStopped
	}
	drain(ctx, anyConnected)
	s.leave()
	return nil
}

// stayResident keeps the program within its 8 MiB: one portal runs for each
// environment on each node, and garbage is cheaper to collect than to hold.
// A limit of 6 MiB would be less than what is in use when all places are
// taken, and the collector would not rest.
func stayResident(ctx context.Context) {
	// Whatever it does is short. A second thread would be woken more often than
	// it is of use.
	runtime.GOMAXPROCS(1)
	debug.SetMemoryLimit(7 << 20)
	go thrift.Keep(ctx, 25)
}
