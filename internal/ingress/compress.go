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
	if tag := h.Get("Etag"); strings.HasPrefix(tag, `"`) {
		h.Set("Etag", marked(tag, coding)) // RFC 9110, 8.8.1: the bytes are others now
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

// codings are those that we make, the better one first.
var codings = []string{"zstd", "gzip"}

// marked is an app's strong tag as the compressed form has it: weak, and such
// that it is known again. For a client sends it back in If-Match, where a weak
// tag never matches (RFC 9110, 13.1.1), and the app knows its own alone.
func marked(tag, coding string) string {
	return "W/" + strings.TrimSuffix(tag, `"`) + "~" + coding + `"`
}

// restoreTags gives the app back the tags that it made. If-Range stays as it is:
// a range of the app's form is not one of what the client has.
func restoreTags(h http.Header) {
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if values := h[name]; len(values) > 0 && strings.Contains(strings.Join(values, ","), `~`) {
			h[name] = []string{restored(strings.Join(values, ", "))}
		}
	}
}

// restored is a list of tags without our marks.
func restored(list string) string {
	var b strings.Builder
	for {
		before, tag, found := strings.Cut(list, `"`)
		tag, after, ended := strings.Cut(tag, `"`)
		if !found || !ended {
			return b.String() + list
		}
		own, weak := strings.CutSuffix(before, "W/")
		for _, coding := range codings {
			if plain, ours := strings.CutSuffix(tag, "~"+coding); ours && weak {
				before, tag = own, plain
				break
			}
		}
		b.WriteString(before + `"` + tag + `"`)
		list = after
	}
}

// markAgain gives the answer that nothing changed the tag by which the client
// asked: it has the compressed form.
func markAgain(h, asked http.Header) {
	tag, by := h.Get("Etag"), strings.Join(asked["If-None-Match"], ",")
	for _, coding := range codings {
		if strings.HasPrefix(tag, `"`) && strings.Contains(by, marked(tag, coding)) {
			h.Set("Etag", marked(tag, coding))
			return
		}
	}
}

// chosen is the coding of ours that a client likes best, "" when it likes none or
// would rather have the answer as it is: RFC 9110, 12.5.3.
func chosen(accept []string) string {
	likes := map[string]float64{}
	for part := range strings.SplitSeq(strings.ToLower(strings.Join(accept, ",")), ",") {
		coding, weight, _ := strings.Cut(part, ";")
		q := 1.0
		if _, number, weighed := strings.Cut(strings.ReplaceAll(weight, " ", ""), "q="); weighed {
			var err error
			if q, err = strconv.ParseFloat(number, 64); err != nil {
				q = 0
			}
		}
		likes[strings.TrimSpace(coding)] = q
	}
	best, most := "", likes["identity"]
	for _, coding := range codings {
		q, named := likes[coding]
		if !named {
			q = likes["*"]
		}
		if q > 0 && (q > most || best == "" && q == most) {
			best, most = coding, q
		}
	}
	return best
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
