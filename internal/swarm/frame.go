package swarm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Stream is which of a process's two outputs something came from.
type Stream string

// The streams. A terminal's output is all on Stdout.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// chunk is something printed to one stream. Its data is only valid until the
// next chunk is asked for.
type chunk struct {
	stream Stream
	data   []byte
}

// headerSize and the meaning of a header's bytes: Docker API 1.41,
// ContainerAttach, "Stream format".
const headerSize = 8

var frameStreams = map[byte]Stream{0: Stdout, 1: Stdout, 2: Stderr}

// systemError marks a frame that holds the engine's own complaint.
const systemError = 3

// frames takes apart what the engine has packed two streams into. A frame
// longer than a line may be comes in several chunks.
func frames(r io.Reader) iter.Seq2[chunk, error] {
	return func(yield func(chunk, error) bool) {
		buffer := make([]byte, longestLine)
		var header [headerSize]byte
		for {
			_, err := io.ReadFull(r, header[:])
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(chunk{}, fmt.Errorf("the stream broke off: %w", err))
				return
			}
			stream, known := frameStreams[header[0]]
			size := binary.BigEndian.Uint32(header[4:])
			if header[0] == systemError {
				text, _ := io.ReadAll(io.LimitReader(r, min(int64(size), longestLine))) // whatever came of it
				yield(chunk{}, fmt.Errorf("the engine says: %s", text))
				return
			}
			if !known || header[1] != 0 || header[2] != 0 || header[3] != 0 {
				yield(chunk{}, fmt.Errorf("the stream is not in the engine's format"))
				return
			}
			if !yieldFrame(r, stream, size, buffer, yield) {
				return
			}
		}
	}
}

func yieldFrame(r io.Reader, stream Stream, size uint32, buffer []byte, yield func(chunk, error) bool) bool {
	for size > 0 {
		part := buffer[:min(uint32(len(buffer)), size)]
		if _, err := io.ReadFull(r, part); err != nil {
			yield(chunk{}, fmt.Errorf("the stream broke off: %w", err))
			return false
		}
		size -= uint32(len(part))
		if !yield(chunk{stream, part}, nil) {
			return false
		}
	}
	return true
}

// rawChunks gives a terminal's output, which is not packed, line by line.
func rawChunks(r io.Reader) iter.Seq2[chunk, error] {
	return func(yield func(chunk, error) bool) {
		b := bufio.NewReaderSize(r, longestLine)
		for {
			data, err := b.ReadSlice('\n')
			if len(data) > 0 && !yield(chunk{Stdout, data}, nil) {
				return
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				yield(chunk{}, err)
				return
			}
		}
	}
}
