package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"syscall"
)

// maxAnswer bounds the line of an answer.
const maxAnswer = 4 << 10

// maxDescriptors is how many the kernel lets one message carry. There is room
// for all of them, so that those nobody asked for can be closed.
const maxDescriptors = 253

// receive reads the portal's answer and makes a connection of the one
// descriptor in it. Whatever else came along is closed.
func (l *line) receive(target Target) (net.Conn, error) {
	answer, fds, err := l.readAnswer()
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "portal")
		defer files[i].Close() // net.FileConn makes a copy
	}
	if err != nil {
		return nil, err
	}
	if err := understand(answer); err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("%w: %d descriptors instead of one", errAnswer, len(files))
	}
	return connected(files[0], target)
}

// readAnswer reads one line and every descriptor that comes with it. The
// descriptors are the caller's to close even when there is an error; the line
// is good until the next one is read. net.UnixConn asks for them with
// MSG_CMSG_CLOEXEC.
func (l *line) readAnswer() (answer []byte, fds []int, err error) {
	text, control := l.text[:], l.control[:]
	for {
		n, m, flags, _, err := l.ReadMsgUnix(text[len(answer):], control)
		n, m = max(n, 0), max(m, 0) // -1 comes with some errors
		more, broken := descriptors(control[:m])
		fds = append(fds, more...)
		answer = text[:len(answer)+n]
		end := bytes.IndexByte(answer, '\n')
		switch {
		case broken != nil:
			return nil, fds, broken
		case flags&syscall.MSG_CTRUNC != 0:
			return nil, fds, fmt.Errorf("%w: too many descriptors", errAnswer)
		case end >= 0 && end < len(answer)-1:
			return nil, fds, fmt.Errorf("%w: more than one line", errAnswer)
		case end >= 0:
			return answer[:end], fds, nil
		case len(answer) == 0 && (n == 0 && err == nil || err != nil && gone(err)):
			return nil, fds, errLeft
		case err != nil:
			return nil, fds, err
		case n == 0 || len(answer) == maxAnswer:
			return nil, fds, fmt.Errorf("%w: no whole line", errAnswer)
		}
	}
}

func descriptors(control []byte) ([]int, error) {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return all, fmt.Errorf("%w: %w", errAnswer, err)
		}
		all = append(all, fds...)
	}
	return all, nil
}

// understand returns nil for ok, a *Refusal for a no.
func understand(line []byte) error {
	var a struct {
		OK   bool   `json:"ok"`
		Kind string `json:"kind"`
		Says string `json:"says"`
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("%w: %w", errAnswer, err)
	}
	if !a.OK {
		return &Refusal{Kind: a.Kind, Says: a.Says}
	}
	return nil
}

// connected makes a connection of a descriptor, after a look at whether it is
// what was asked for: a portal is told what to do and may still be wrong.
func connected(f *os.File, target Target) (net.Conn, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	_, tcp := c.(*net.TCPConn)
	_, udp := c.(*net.UDPConn)
	if udp != target.UDP || tcp == target.UDP {
		c.Close()
		return nil, fmt.Errorf("%w: not a socket of the kind that was asked for", errAnswer)
	}
	if at := c.RemoteAddr(); at == nil || at.String() != target.address().String() {
		c.Close()
		return nil, fmt.Errorf("%w: a socket to %v", errAnswer, at)
	}
	return c, nil
}
