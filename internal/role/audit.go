package role

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
)

// Audit gives the last n lines of the guard's audit, all when n is 0, and only
// refusals when asked.
func (l Layout) Audit(n int, refused bool) ([]string, error) {
	f, err := os.Open(filepath.Join(l.GuardDir(), "audit.jsonl"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var e struct{ Decision string }
		if refused && (json.Unmarshal(s.Bytes(), &e) != nil || e.Decision != "refused") {
			continue
		}
		lines = append(lines, s.Text())
		if n > 0 && len(lines) > 2*n { // keeps memory small over a long file
			lines = append([]string(nil), lines[len(lines)-n:]...)
		}
	}
	if n > 0 && len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return lines, s.Err()
}
