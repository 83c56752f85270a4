package ingress

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Answers that are worth compressing. Small ones do not get smaller; and as an
// encoder has memory, only so many work at once, the other answers pass as
// they are.
const (
	worthwhile  = 860
	maxEncoders = 64
	zstdWindow  = 128 << 10
)

// texts are the types that get smaller, beside text/*; what ends in +json or
// +xml does, too. Fonts, images, video and archives are compressed already.
var texts = []string{
	"application/json", "application/javascript", "application/xml", "application/x-ndjson", "application/wasm",
	"application/manifest+json", "image/svg+xml", "application/vnd.ms-fontobject", "font/ttf", "font/otf",
}

// encoder is one of gzip's and zstd's.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// press compresses answers. It may be used by many at once.
type press struct {
	gzip, zstd sync.Pool
	room       chan struct{}
	lent       *buffers
}

func newPress(lent *buffers) *press {
	return &press{
		lent: lent,
		room: make(chan struct{}, maxEncoders),
		gzip: sync.Pool{New: func() any {
			w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed+3)
			if err != nil {
				panic("a level of gzip is wrong: " + err.Error())
			}
			return w
		}},
		zstd: sync.Pool{New: func() any {
			w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
			if err != nil {
				panic("an option of zstd is wrong: " + err.Error())
			}
			return w
		}},
	}
}

// apply compresses an answer where it may and where that is worth it.
func (p *press) apply(answer *http.Response) {
	if !compressible(answer) {
		return
	}
	h := answer.Header
	if !slices.ContainsFunc(h.Values("Vary"), func(v string) bool {
		return strings.Contains(v, "*") || strings.Contains(strings.ToLower(v), "accept-encoding")
	}) {
		h.Add("Vary", "Accept-Encoding")
	}
	coding := chosen(answer.Request.Header.Values("Accept-Encoding"))
	if coding == "" || answer.Request.Method == http.MethodHead {
		return
	}
	select {
	case p.room <- struct{}{}:
	default:
		return
	}
	h.Set("Content-Encoding", coding)
	h.Del("Content-Length")
	h.Del("Accept-Ranges") // of the other form
	if tag := h.Get("Etag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		h.Set("Etag", "W/"+tag) // RFC 9110, 8.8.1: the bytes are others now
	}
	answer.ContentLength = -1
	pool := &p.gzip
	if coding == "zstd" {
		pool = &p.zstd
	}
	b := &pressed{from: answer.Body, pool: pool, press: p, encoder: pool.Get().(encoder), piece: p.lent.Get()}
	b.encoder.Reset(&b.ready)
	answer.Body = b
}

// compressible tells whether an answer gets smaller, and nobody forbids it.
func compressible(answer *http.Response) bool {
	h := answer.Header
	if answer.StatusCode != http.StatusOK || h.Get("Content-Encoding") != "" || h.Get("Content-Range") != "" ||
		answer.ContentLength >= 0 && answer.ContentLength < worthwhile || len(answer.Trailer) > 0 ||
		slices.ContainsFunc(h.Values("Cache-Control"), func(v string) bool { return strings.Contains(strings.ToLower(v), "no-transform") }) {
		return false
	}
	return shrinks(h.Get("Content-Type"))
}

// shrinks tells whether what has this type gets smaller.
func shrinks(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if kind == "text/event-stream" {
		return false
	}
	return strings.HasPrefix(kind, "text/") || slices.Contains(texts, kind) || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
}

// chosen is the better coding that a client takes, "" when it takes none.
func chosen(accept []string) string {
	takes := map[string]bool{}
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		coding, q, _ := strings.Cut(part, ";")
		_, weight, weighed := strings.Cut(strings.ReplaceAll(q, " ", ""), "q=")
		n, err := strconv.ParseFloat(weight, 64)
		takes[strings.ToLower(strings.TrimSpace(coding))] = !weighed || err == nil && n > 0
	}
	for _, coding := range []string{"zstd", "gzip"} {
		if yes, named := takes[coding]; yes || !named && takes["*"] {
			return coding
		}
	}
	return ""
}

// pressed is a body that is compressed while it is read. What the app sent is
// passed on when it was sent: the encoder is flushed after each piece.
type pressed struct {
	from    io.ReadCloser
	encoder encoder // nil at the end
	pool    *sync.Pool
	press   *press
	ready   bytes.Buffer
	piece   []byte
	err     error
}

// Read gives what is compressed by now, or waits for the next piece.
func (b *pressed) Read(p []byte) (int, error) {
	for b.ready.Len() == 0 {
		if b.err != nil {
			return 0, b.err
		}
		n, err := b.from.Read(b.piece)
		if n > 0 {
			b.encoder.Write(b.piece[:n]) // a buffer takes everything
			b.encoder.Flush()
		}
		if err == io.EOF {
			b.encoder.Close()
		}
		b.err = err
	}
	return b.ready.Read(p)
}

// Close gives the encoder back. It may be called twice.
func (b *pressed) Close() error {
	if b.encoder != nil {
		b.encoder.Reset(nil)
		b.pool.Put(b.encoder)
		b.encoder = nil
		b.press.lent.Put(b.piece)
		<-b.press.room
		b.err = io.ErrClosedPipe
	}
	return b.from.Close()
}
