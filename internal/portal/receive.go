package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"syscall"
)

// maxAnswer bounds the line of an answer.
const maxAnswer = 4 << 10

// maxDescriptors is how many the kernel lets one message carry. There is room
// for all of them, so that those nobody asked for can be closed.
const maxDescriptors = 253

// receive reads the portal's answer and gives the one descriptor in it.
// Whatever else came along is closed.
func (l *line) receive(target Target) (int, error) {
	answer, fds, err := l.readAnswer()
	if err == nil {
		l.several, err = understand(answer)
	}
	if err == nil && len(fds) != 1 {
		err = fmt.Errorf("%w: %d descriptors instead of one", errAnswer, len(fds))
	}
	if err == nil {
		err = check(fds[0], target)
	}
	if err != nil {
		closeAll(fds)
		return -1, err
	}
	return fds[0], nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

// readAnswer reads one line and every descriptor that comes with it. The
// descriptors are the caller's to close even when there is an error; the line
// is good until the next one is read.
func (l *line) readAnswer() (answer []byte, fds []int, err error) {
	text, control := l.text[:], l.control[:]
	for {
		h, err := l.read(text[len(answer):], control)
		more, broken := descriptors(control[:h.control])
		fds = append(fds, more...)
		answer = text[:len(answer)+h.text]
		end := bytes.IndexByte(answer, '\n')
		switch {
		case broken != nil:
			return nil, fds, broken
		case h.cut:
			return nil, fds, fmt.Errorf("%w: too many descriptors", errAnswer)
		case end >= 0 && end < len(answer)-1:
			return nil, fds, fmt.Errorf("%w: more than one line", errAnswer)
		case end >= 0:
			return answer[:end], fds, nil
		case len(answer) == 0 && err != nil && gone(err):
			return nil, fds, errLeft
		case err != nil:
			return nil, fds, err
		case len(answer) == maxAnswer:
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

// understand returns nil for ok, a *Refusal for a no, and whether the portal
// takes several questions at once.
func understand(line []byte) (several bool, err error) {
	var a struct {
		OK   bool   `json:"ok"`
		All  int    `json:"all"`
		Kind string `json:"kind"`
		Says string `json:"says"`
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return false, fmt.Errorf("%w: %w", errAnswer, err)
	}
	if !a.OK {
		return false, &Refusal{Kind: a.Kind, Says: a.Says}
	}
	return a.All >= most, nil
}

// check has a look at whether a descriptor is what was asked for: a portal is
// told what to do and may still be wrong.
func check(fd int, target Target) error {
	want := syscall.SOCK_STREAM
	if target.UDP {
		want = syscall.SOCK_DGRAM
	}
	if typeOf(fd) != want {
		return fmt.Errorf("%w: not a socket of the kind that was asked for", errAnswer)
	}
	at, err := syscall.Getpeername(fd)
	if err != nil {
		return fmt.Errorf("%w: a socket to nobody: %w", errAnswer, err)
	}
	four, ok := at.(*syscall.SockaddrInet4)
	if !ok {
		return fmt.Errorf("%w: a socket of another family", errAnswer)
	}
	if to := netip.AddrPortFrom(netip.AddrFrom4(four.Addr), uint16(four.Port)); to != target.address() {
		return fmt.Errorf("%w: a socket to %v", errAnswer, to)
	}
	return nil
}
