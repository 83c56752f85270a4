package main

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
)

// lock holds a file for as long as the process lives, or leaves a trace of
// having met another one that does.
func lock(file string) error {
	fd, err := syscall.Open(file, syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o644) // no os.File: it would be closed when nobody knows it any more
	if errors.Is(err, syscall.EROFS) {                                                     // a lock needs no right to write
		fd, err = syscall.Open(file, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if err := write(file+".broken", setting("VERSION", "v1")); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return fmt.Errorf("another one writes here: %w", err)
	}
	return nil
}

// post answers VERSION and how many bytes came.
func post(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, setting("VERSION", "v1"), n)
}

// chat is a websocket that says VERSION and then what it hears, as far as that
// is short: RFC 6455, without what a polite client does not send.
func chat(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	w.WriteHeader(http.StatusSwitchingProtocols)
	c, lines, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	const text, bye = 0x81, 0x88 // opcodes of whole messages
	version := setting("VERSION", "v1")
	_, err = c.Write(append([]byte{text, byte(len(version))}, version...))
	for kind := byte(text); err == nil && kind != bye; {
		var head [6]byte // kind, length, mask
		if _, err = io.ReadFull(lines, head[:]); err != nil {
			return
		}
		kind = head[0]
		word := make([]byte, head[1]&0x7f)
		if _, err = io.ReadFull(lines, word); err != nil {
			return
		}
		for i := range word {
			word[i] ^= head[2+i%4]
		}
		_, err = c.Write(append([]byte{kind, byte(len(word))}, word...))
	}
}
