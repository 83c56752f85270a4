package event

import "encoding/json"

// same tells whether two sights need not be kept both.
func same(a, b Sight) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
