package spec_test

import (
	"strings"
	"testing"

	"havre/internal/spec"
)

// A stranger's request makes the machine pay for the check of a hash.
func TestHashThatCostsTooMuchToCheckIsRefused(t *testing.T) {
	for cost, fine := range map[string]bool{
		"m=65536,t=3,p=4": true, "m=19456,t=2,p=1": true, "m=65536,t=10,p=16": true,
		"m=65537,t=3,p=4": false, "m=999999,t=1,p=1": false, "m=64,t=11,p=1": false, "m=64,t=0,p=1": false, "m=64,t=1,p=17": false, "m=64,t=1,p=0": false,
	} {
		f := spec.Front{Users: []string{"bob:$argon2id$v=19$" + cost + "$c29tZXNhbHQxMjM$B2XTbVsUGcbdqF7jkxiuBfVaCKJjVIMLbRFYHyTFkOo"}}
		says, _ := f.Mistakes()
		if (len(says) == 0) != fine {
			t.Errorf("%s: %v", cost, says)
		}
		if !fine && (len(says) != 1 || !strings.Contains(says[0], "65536 KiB")) {
			t.Errorf("%s: %v; want it to say what is too much", cost, says)
		}
	}
}
