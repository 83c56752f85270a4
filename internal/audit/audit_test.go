package audit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/audit"
	"havre/internal/dockercall"
)

// change, read and refusal are entries of the three sorts.
func change(says string) audit.Entry {
	return audit.Entry{Kind: dockercall.ServiceRemoveKind, Method: "DELETE", Decision: audit.Allowed, Says: says}
}

func read(says string) audit.Entry {
	return audit.Entry{Kind: dockercall.ContainerGetKind, Method: "GET", Decision: audit.Allowed, Says: says}
}

func refusal(says string) audit.Entry {
	return audit.Entry{Kind: dockercall.ServiceCreateKind, Method: "POST", Decision: audit.Refused, Rule: "bad-value", Says: says}
}

func write(t *testing.T, l *audit.Log, entries ...audit.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := l.Write(e); err != nil {
			t.Fatal(err)
		}
	}
}

func closed(t *testing.T, l *audit.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// says is what the lines of an audit say, in their order.
func says(t *testing.T, dir string, q audit.Query) []string {
	t.Helper()
	var all []string
	for l, err := range audit.Read(dir, q) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l.Says)
	}
	return all
}

func TestFloodOfRefusalsOrReadsPushesNoChangeOut(t *testing.T) {
	dir := t.TempDir()
	l := audit.OpenSmall(t, dir, 16<<10, 64<<10)
	defer closed(t, l)
	write(t, l, change("the change"), refusal("the attack"), read("the theft"))
	for i := range 2000 {
		e := refusal(fmt.Sprintf("%d %s", i, strings.Repeat("<", 990)))
		e.Path, e.Method = fmt.Sprintf("/%d/%s", i, strings.Repeat("<", 990)), fmt.Sprintf("X%d", i)
		write(t, l, e)
	}
	got := strings.Join(says(t, dir, audit.Query{}), "\n")
	for _, want := range []string{"the change", "the attack", "the theft"} {
		if !strings.Contains(got, want) {
			t.Errorf("after a flood of refusals %q is gone", want)
		}
	}
	for range 1000 {
		write(t, l, read(strings.Repeat("x", 300)))
	}
	if got := says(t, dir, audit.Query{}); got[0] != "the change" {
		t.Errorf("after a flood of reads the first line says %.40q", got[0])
	}
}

func TestLinesAreShortAndAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	l := audit.OpenSmall(t, dir, 1<<20, 1<<20)
	defer closed(t, l)
	e := change("<&> \x1b[2J\u0085\xff\n" + strings.Repeat("<", 9999))
	e.Path = strings.Repeat("\x00", 9999)
	e.Mounts = make([]string, 300)
	for i := range e.Mounts {
		e.Mounts[i] = strings.Repeat("é", 999)
	}
	e.Command = []string{"sh", "-c", strings.Repeat("y", 99999)}
	write(t, l, e)
	text, err := os.ReadFile(dir + "/audit.jsonl")
	if err != nil || len(text) > 8<<10 {
		t.Errorf("a line has %d bytes, %v", len(text), err)
	}
	for _, want := range []string{`"says":"<&> ` + "\ufffd[2J\ufffd\ufffd" + `\n<<<`, "… and 29", `"command":["sh","-c","yyy`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the line lacks %s: %s", want, text)
		}
	}
}

func TestEqualRefusalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := audit.OpenSmall(t, dir, 1<<20, 1<<20)
		for i := range 100 {
			write(t, l, refusal(fmt.Sprint(i)))
		}
		other := refusal("another rule")
		other.Rule = "too-big"
		write(t, l, other)
		// The 64th has a line that tells its number; the rest were only counted.
		got := strings.Join(says(t, dir, audit.Query{}), " ")
		if want := " 31 63 another rule"; !strings.HasSuffix(got, want) {
			t.Errorf("the lines are %s", got)
		}
		time.Sleep(time.Hour)
		write(t, l, refusal("later"))
		closed(t, l)
		var last []audit.Line
		for line, err := range audit.Read(dir, audit.Query{Last: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			last = append(last, line)
		}
		if last[0].Count != 100 || last[0].Says != "99" || last[0].Since == nil || last[1].Says != "later" || last[1].Count != 0 {
			t.Errorf("the last lines are %+v", last)
		}
	})
}

func TestChangesAreKeptByTheirAge(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{".1": 0, ".2": audit.Age() - time.Hour, ".3": audit.Age() + time.Hour} {
		file, when := dir+"/audit.jsonl"+name, time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(file, []byte("{\"says\":\"old"+name+"\"}\n"), 0o600), os.Chtimes(file, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	l := audit.OpenSmall(t, dir, 1<<10, 8<<10)
	defer closed(t, l)
	if got := strings.Join(says(t, dir, audit.Query{}), " "); got != "old.2 old.1" {
		t.Errorf("there is %s", got)
	}
	for i := range 100 {
		write(t, l, change(fmt.Sprint(i)))
	}
	files, err := filepath.Glob(dir + "/audit.jsonl*")
	var all int64
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		all += info.Size()
	}
	if err != nil || len(files) < 4 || all > 8<<10 {
		t.Errorf("%d bytes in %v, %v", all, files, err)
	}
	if got := says(t, dir, audit.Query{Last: 12}); fmt.Sprint(got) != "[88 89 90 91 92 93 94 95 96 97 98 99]" {
		t.Errorf("the last are %v", got)
	}
}

// The clock stands still, so the name is known to which a file will be set aside.
func TestFileThatCannotBeSetAsideStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := audit.OpenSmall(t, dir, 600, 1<<20)
		defer closed(t, l)
		inTheWay := dir + "/audit.jsonl." + time.Now().UTC().Format("20060102T150405.000000000")
		if err := os.MkdirAll(inTheWay+"/full", 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			write(t, l, change(fmt.Sprint(i)))
		}
		if err := os.RemoveAll(inTheWay); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			time.Sleep(time.Second)
			write(t, l, change(fmt.Sprint(20+i)))
		}
		if got := says(t, dir, audit.Query{}); len(got) != 40 || got[0] != "0" || got[39] != "39" {
			t.Errorf("there is %v", got)
		}
		if files, err := filepath.Glob(dir + "/audit.jsonl.*"); err != nil || len(files) < 3 {
			t.Errorf("set aside: %v, %v", files, err)
		}
	})
}

// The old file has its new name already when the new one cannot be opened.
func TestFileThatCannotBeOpenedStopsNothing(t *testing.T) {
	dir := t.TempDir()
	l := audit.OpenSmall(t, dir, 600, 1<<20)
	defer closed(t, l)
	limited(t, unix.RLIMIT_NOFILE, 0, func() {
		for i := range 20 {
			if err := l.Write(change(fmt.Sprint(i))); err != nil {
				t.Errorf("line %d: %v", i, err)
			}
		}
	})
	if _, err := os.Stat(dir + "/audit.jsonl"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the new file could be opened: %v", err)
	}
	write(t, l, change("20"), change("21"))
	if got := says(t, dir, audit.Query{}); len(got) != 22 || got[0] != "0" || got[21] != "21" {
		t.Errorf("there is %v", got)
	}
	if text, err := os.ReadFile(dir + "/audit.jsonl"); err != nil || !strings.Contains(string(text), `"21"`) {
		t.Errorf("the new file holds %s, %v", text, err)
	}
}

func TestLineThatWasCutSwallowsNoOther(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/audit.jsonl", []byte("{\"says\":\"first\"}\n{\"says\":\"of a guard that was ki"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := audit.OpenSmall(t, dir, 8<<20, 8<<20)
	defer closed(t, l)
	write(t, l, change("second"))
	long := strings.Repeat("x", 300)
	for i := 0; ; i++ { // so far that the limit concerns no other file
		write(t, l, change(long))
		if info, err := os.Stat(dir + "/audit.jsonl"); err != nil || info.Size() > 64<<10 {
			limited(t, unix.RLIMIT_FSIZE, uint64(info.Size()+100), func() {
				if l.Write(change("cut")) == nil {
					t.Error("half a line was enough")
				}
			})
			break
		}
	}
	write(t, l, change("last"))
	var found []string
	for _, s := range says(t, dir, audit.Query{}) {
		if s != long {
			found = append(found, s)
		}
	}
	if got := fmt.Sprintf("%q", found); got != `["first" "" "second" "" "last"]` {
		t.Errorf("there is %s", got)
	}
}

// limited does something under a limit of the process.
func limited(t *testing.T, what int, most uint64, do func()) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(what, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	do()
	if err := unix.Setrlimit(what, &was); err != nil {
		t.Fatal(err)
	}
}

func TestLinesOfAllBooksAreInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := audit.OpenSmall(t, dir, 600, 1<<20)
		defer closed(t, l)
		var want []string
		for i := range 30 {
			time.Sleep(time.Second)
			e := []func(string) audit.Entry{change, refusal, read}[i*i%7%3](fmt.Sprint(i))
			write(t, l, e)
			want = append(want, e.Says)
		}
		if got := says(t, dir, audit.Query{}); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the lines are %v", got)
		}
		if got := says(t, dir, audit.Query{Last: 7}); fmt.Sprint(got) != fmt.Sprint(want[23:]) {
			t.Errorf("the last lines are %v", got)
		}
		for line, err := range audit.Read(dir, audit.Query{Refused: true}) {
			if err != nil || line.Decision != audit.Refused {
				t.Errorf("%+v, %v", line, err)
			}
		}
	})
}

// A machine that lost its power may leave anything in a file.
func TestWhatIsNoLineHidesNoOther(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/audit.jsonl", make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	l := audit.OpenSmall(t, dir, 8<<20, 8<<20)
	defer closed(t, l)
	write(t, l, change("there"))
	if got := says(t, dir, audit.Query{}); fmt.Sprintf("%q", got) != `["" "there"]` {
		t.Errorf("there is %q", got)
	}
}
