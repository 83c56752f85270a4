// Echo is what tests put into a container to be talked to: it gives back what
// it is sent, on port 7 by TCP and UDP, and throws it away, on port 9.
package main

import (
	"io"
	"log"
	"net"
)

func main() {
	go listen(":9", func(c net.Conn) { io.Copy(io.Discard, c) })
	go repeat(":7")
	listen(":7", func(c net.Conn) { io.Copy(c, c) })
}

func repeat(on string) {
	p, err := net.ListenPacket("udp", on)
	if err != nil {
		log.Fatal(err)
	}
	b := make([]byte, 64<<10)
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil {
			log.Fatal(err)
		}
		p.WriteTo(b[:n], from)
	}
}

func listen(on string, serve func(net.Conn)) {
	l, err := net.Listen("tcp", on)
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}
