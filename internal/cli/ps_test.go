package cli_test

import (
	"testing"

	"havre/internal/cli"
)

// A service with many addresses does not make the table wide.
func TestTableShowsOnlySomeAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		all  []string
		want string
	}{
		{nil, ""},
		{[]string{"1", "2", "3", "4", "5", "6"}, "1, 2, 3, 4, 5, 6"},
		{[]string{"1", "2", "3", "4", "5", "6", "7"}, "1, 2, 3, 4, 5 and 2 more"},
	} {
		if got := cli.Few(c.all); got != c.want {
			t.Errorf("%q: %q, want %q", c.all, got, c.want)
		}
	}
}
