package ingress_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"havre/internal/ingress"
)

// pair is two ends of a TCP connection.
func pair(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// What is carried by hand, what is spliced, and the change from one to the
// other: each byte arrives once, and is counted once.
func TestEveryByteIsCarriedAndCounted(t *testing.T) {
	for name, said := range map[string][]int{
		"nothing": nil, "a word": {1}, "words": {1, 2, 3, 4, 5, 6}, "much at once": {1 << 20},
		"a whole buffer": {4096}, "words, then much": {10, 1 << 20, 10}, "many words": make([]int, 50),
	} {
		t.Run(name, func(t *testing.T) {
			mouth, from := pair(t)
			to, ear := pair(t)
			var all []byte
			var words [][]byte
			for i, n := range said {
				words = append(words, bytes.Repeat([]byte{byte('a' + i)}, max(n, 7)))
				all = append(all, words[i]...)
			}
			go func() {
				defer mouth.CloseWrite()
				for _, w := range words {
					mouth.Write(w)
				}
			}()
			count := make(chan int64)
			go func() {
				n, err := ingress.Carry(to, from)
				if err != nil {
					t.Error(err)
				}
				to.CloseWrite()
				count <- n
			}()
			heard, err := io.ReadAll(ear)
			if n := <-count; err != nil || !bytes.Equal(heard, all) || n != int64(len(all)) {
				t.Errorf("heard %d bytes, %v, counted %d; said were %d", len(heard), err, n, len(all))
			}
		})
	}
}
