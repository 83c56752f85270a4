package guard

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"havre/internal/dockercall"
	"havre/internal/policy"
)

// An audit file is set aside at this size; the last five are kept.
const auditSize, auditFiles = 32 << 20, 5

// entry is one line of the audit.
type entry struct {
	Time     time.Time       `json:"time"`
	UID      uint32          `json:"uid"`
	PID      int32           `json:"pid"`
	Kind     dockercall.Kind `json:"kind,omitempty"` // none: not understood
	Method   string          `json:"method"`
	Path     string          `json:"path"`             // as it was sent, cut
	Object   string          `json:"object,omitempty"` // name or id
	Decision string          `json:"decision"`         // allowed or refused
	Rule     string          `json:"rule,omitempty"`
	Says     string          `json:"says,omitempty"`
}

// audit appends lines that are on the disk before the call is carried out.
type audit struct {
	path string

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
}

func openAudit(path string) (*audit, error) {
	a := &audit{path: path}
	return a, a.open()
}

func (a *audit) open() error {
	f, err := os.OpenFile(a.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	a.file, a.size = f, info.Size()
	return nil
}

// Write records e. A call that cannot be recorded must not be made.
func (a *audit) Write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.size+int64(len(line)) > auditSize {
		if err := a.rotate(); err != nil {
			return err
		}
	}
	n, err := a.file.Write(line)
	a.size += int64(n)
	return errors.Join(err, a.file.Sync())
}

func (a *audit) rotate() error {
	if err := a.file.Close(); err != nil {
		return err
	}
	for i := auditFiles - 1; i > 0; i-- {
		err := os.Rename(a.old(i), a.old(i+1))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(a.path, a.old(1)); err != nil {
		return err
	}
	return a.open()
}

func (a *audit) old(i int) string { return a.path + "." + string(rune('0'+i)) }

// Close ends the audit.
func (a *audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Close()
}

// record writes what was decided about a request.
func (g *Guard) record(c policy.Caller, q asked, problemRule, says string) error {
	e := entry{
		Time: time.Now().UTC(), UID: c.UID, PID: c.PID, Kind: q.kind, Method: q.method, Path: cut(q.path, 200),
		Object: q.object, Decision: "allowed", Rule: problemRule, Says: cut(says, 400),
	}
	if problemRule != "" {
		e.Decision = "refused"
	}
	return g.audit.Write(e)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
