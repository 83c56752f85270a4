package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
)

// maxRequest is far more than any request needs.
const maxRequest = 4 << 10

// request names one port of one container, twice: by id and by address.
// Network is "udp", or nothing for TCP, so that what asks for TCP is written as
// it was before there was a choice.
type request struct {
	ID      string     `json:"id"`
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
	Network string     `json:"network,omitempty"`
}

// udp is the one network that a request names.
const udp = "udp"

// name is what the engine's name service calls the container.
func (r request) name() string { return r.ID[:12] }

func (r request) target() netip.AddrPort { return netip.AddrPortFrom(r.Address, r.Port) }

// readLine reads up to the first newline, which must be the last thing sent.
func readLine(from io.Reader) ([]byte, error) {
	line := make([]byte, 0, 256) // a request has about 120 bytes
	for {
		n, err := from.Read(line[len(line):cap(line)])
		line = line[:len(line)+n]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			if i != len(line)-1 {
				return nil, errors.New("more than one line")
			}
			return line[:i], nil
		}
		if err != nil {
			return nil, fmt.Errorf("no whole line: %w", err)
		}
		if len(line) >= maxRequest {
			return nil, fmt.Errorf("more than %d bytes", maxRequest)
		}
		if len(line) == cap(line) {
			line = append(make([]byte, 0, min(4*cap(line), maxRequest)), line...)
		}
	}
}

// parse understands a request, or refuses it.
func parse(line []byte) (request, error) {
	if r, rest, ok := scan(line); ok && len(rest) == 0 {
		return r, nil
	}
	return explain(line)
}

// scan reads a request that is written in the one form that is accepted, and
// gives what comes behind it. It knows less than explain, never more.
func scan(text []byte) (r request, rest []byte, ok bool) {
	id, text, ok := between(text, `{"id":"`, '"')
	if !ok || len(id) != 64 || len(bytes.Trim(id, "0123456789abcdef")) > 0 {
		return r, nil, false
	}
	address, text, ok := between(text, `,"address":"`, '"')
	if !ok {
		return r, nil, false
	}
	at, err := netip.ParseAddr(string(address)) // IPv4 has one form only
	if err != nil || !at.Is4() || !at.IsGlobalUnicast() {
		return r, nil, false
	}
	text, ok = bytes.CutPrefix(text, []byte(`,"port":`))
	digits := len(text) - len(bytes.TrimLeft(text, "0123456789"))
	port, err := strconv.ParseUint(string(text[:digits]), 10, 16)
	if !ok || err != nil || port == 0 || text[0] == '0' {
		return r, nil, false
	}
	r = request{ID: string(id), Address: at, Port: uint16(port)}
	if text = text[digits:]; bytes.HasPrefix(text, []byte(`,"network":"udp"`)) {
		r.Network, text = udp, text[len(`,"network":"udp"`):]
	}
	rest, ok = bytes.CutPrefix(text, []byte("}"))
	return r, rest, ok
}

// between gives what stands between a prefix and the next end.
func between(text []byte, prefix string, end byte) (found, rest []byte, ok bool) {
	text, ok = bytes.CutPrefix(text, []byte(prefix))
	i := bytes.IndexByte(text, end)
	if !ok || i < 0 {
		return nil, nil, false
	}
	return text[:i], text[i+1:], true
}

// explain takes its time to understand a request, or to say what is wrong.
func explain(line []byte) (request, error) {
	var r request
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return request{}, fmt.Errorf("not a request: %w", err)
	}
	if raw, err := hex.DecodeString(r.ID); len(raw) != 32 || err != nil || hex.EncodeToString(raw) != r.ID {
		return request{}, errors.New("id is not 64 lower-case hexadecimal digits")
	}
	if !r.Address.Is4() || !r.Address.IsGlobalUnicast() {
		return request{}, errors.New("address is not an IPv4 unicast address")
	}
	if r.Port == 0 {
		return request{}, errors.New("port is not within 1 and 65535")
	}
	if r.Network != "" && r.Network != udp {
		return request{}, errors.New("network is neither udp nor left out")
	}
	// Doubled or oddly cased fields, and what follows the object, would pass
	// the decoder. They don't survive being written again.
	if again, err := json.Marshal(r); err != nil || !bytes.Equal(again, line) {
		return request{}, errors.New("not written in the one form that is accepted")
	}
	return r, nil
}
