package ingress

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"havre/internal/spec"
)

// Checking a password costs time and memory on purpose. So a good one is
// remembered for a while (by a digest under a key of this process's own), only
// a few of all services' are checked at once, and a client may only miss so
// often.
const (
	goodFor    = 5 * time.Minute
	maxGood    = 1024
	atOnce     = 2
	maxMisses  = 10 // in a minute
	maxMessage = 512
)

// users are those who may come in to a service with a password.
type users struct {
	hashes map[string]string // by name
	other  string            // a hash to check for names that are unknown, so that they take as long
	misses *limiter
	turn   chan struct{} // taken for each check; all services share it
	key    []byte

	mu   sync.Mutex // guards good
	good map[[sha256.Size]byte]time.Time
}

func newUsers(lines []string, turn chan struct{}) *users {
	if len(lines) == 0 {
		return nil
	}
	u := &users{
		hashes: map[string]string{},
		misses: newLimiter(spec.Rate{Events: maxMisses, Per: spec.Duration(time.Minute)}),
		turn:   turn,
		key:    make([]byte, sha256.Size),
		good:   map[[sha256.Size]byte]time.Time{},
	}
	rand.Read(u.key) // never fails
	for _, l := range lines {
		name, hash, _ := strings.Cut(l, ":")
		u.hashes[name] = hash
		u.other = hash
	}
	return u
}

// check finds who asks. Its status is 0 when that is somebody who may come in.
func (u *users) check(r *http.Request, client netip.Addr) (name string, status int) {
	if u == nil {
		return "", 0
	}
	name, password, said := r.BasicAuth()
	if !said || len(name)+len(password) > maxMessage {
		return "", http.StatusUnauthorized
	}
	known := u.digest(name, password)
	u.mu.Lock()
	good := time.Now().Before(u.good[known])
	u.mu.Unlock()
	if good {
		return name, 0
	}
	if u.misses.empty(client) {
		return "", http.StatusTooManyRequests
	}
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-r.Context().Done():
		return "", http.StatusServiceUnavailable
	}
	if u.misses.empty(client) { // it guessed in other requests meanwhile
		return "", http.StatusTooManyRequests
	}
	if !u.verify(name, password) {
		u.misses.allow(client)
		return "", http.StatusUnauthorized
	}
	u.remember(known)
	return name, 0
}

func (u *users) verify(name, password string) bool {
	hash, known := u.hashes[name]
	if !known {
		hash = u.other
	}
	return matches(hash, password) && known
}

func (u *users) digest(name, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, u.key)
	fmt.Fprintf(h, "%d:%s%s", len(name), name, password)
	h.Sum(sum[:0])
	return sum
}

func (u *users) remember(known [sha256.Size]byte) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.good) >= maxGood {
		clear(u.good)
	}
	u.good[known] = now.Add(goodFor)
}

// matches tells whether hash, of bcrypt or argon2id, is password's.
func matches(hash, password string) bool {
	if !strings.HasPrefix(hash, "$argon2id$") {
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	}
	field := strings.Split(hash, "$")
	if len(field) != 6 {
		return false
	}
	var memory, times, threads uint32
	if _, err := fmt.Sscanf(field[3], "m=%d,t=%d,p=%d", &memory, &times, &threads); err != nil || threads < 1 || threads > 255 || times < 1 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(field[4])
	want, err2 := base64.RawStdEncoding.DecodeString(field[5])
	if err != nil || err2 != nil || len(want) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, times, memory, uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}
