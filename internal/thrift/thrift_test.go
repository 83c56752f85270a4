package thrift_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"havre/internal/thrift"
)

const someMaps = `00400000-010c4000 r-xp 00000000 fe:00 1186                               /usr/bin/havre
Size:              13072 kB
Rss:                8460 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
010c5000-01fc2000 r--p 00cc5000 fe:00 1186                               /usr/bin/havre
Rss:               11050 kB
Anonymous:             4 kB
01fc2000-01fc9000 r--p 00cc5000 fe:00 1186                               /usr/bin/havre
Anonymous:             0 kB
01fc9000-0206b000 rw-p 01bc2000 fe:00 1186                               /usr/bin/havre
Anonymous:             0 kB
0206b000-040bd000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7f0000000000-7f0000001000 r--s 00000000 fe:00 1186                       /usr/bin/havre
Anonymous:             0 kB
7f0000002000-7f0000003000 r--p 00000000 fe:00 1187                       /usr/bin/havre.old
Anonymous:             0 kB
7f0000004000-7f0000005000 ---p 00000000 00:00 0
Anonymous:             0 kB
7ffc1c9a0000-7ffc1c9a2000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
`

func TestOnlyWhatIsAsInTheFileIsLetGoOf(t *testing.T) {
	got, err := thrift.Pristine(strings.NewReader(someMaps), "/usr/bin/havre")
	if want := "[{400000 10c4000} {1fc2000 1fc9000}]"; err != nil || fmt.Sprintf("%x", got) != want {
		t.Errorf("got  %x, %v\nwant %s", got, err, want)
	}
	if got, err := thrift.Pristine(strings.NewReader("x-y r-xp 0 fe:00 1 /usr/bin/havre\n"), "/usr/bin/havre"); err == nil {
		t.Errorf("addresses that are none: %x", got)
	}
}

func TestProgramLetsGoOfWhatOnlyItsStartNeeded(t *testing.T) {
	before := resident(t)
	if err := thrift.Shed(); err != nil {
		t.Fatal(err)
	}
	if after := resident(t); after >= before {
		t.Errorf("of the program's own pages %d KiB were in memory, and then %d", before, after)
	}
}

// resident is how much of the program's file is mapped and there, in KiB.
func resident(t *testing.T) (sum int) {
	t.Helper()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer smaps.Close()
	ours := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		var kib int
		switch field := strings.Fields(lines.Text()); {
		case !strings.HasSuffix(field[0], ":"):
			ours = strings.HasSuffix(lines.Text(), " "+program)
		case ours && field[0] == "Rss:":
			if _, err := fmt.Sscan(field[1], &kib); err != nil {
				t.Fatal(err)
			}
			sum += kib
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return sum
}
