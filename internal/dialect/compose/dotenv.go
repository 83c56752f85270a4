package compose

import (
	"bytes"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"havre/internal/dialect/source"
	"havre/internal/problem"
)

// assign reads lines NAME=value into all. What they say of variables that
// nobody has is noted with its line: the library would write of it, without
// one, to the standard error stream.
func assign(r *source.Reading, t source.Text, all map[string]string, lookup dotenv.LookupFn) error {
	file, content := t.Name, t.Content
	if at := notText(content); at >= 0 {
		r.Refuse(position(file, content, at), "the text is not UTF-8", "save it as UTF-8: iconv -f latin1 -t utf-8")
		return nil
	}
	var missing []string
	err := dotenv.ParseWithFormat(bytes.NewReader(content), file, all, func(name string) (string, bool) {
		if value, ok := lookup(name); ok {
			return value, true
		}
		if value, ok := all[name]; ok {
			return value, true
		}
		if !plainly(name, content) {
			return "", false
		}
		missing = append(missing, name)
		return "", true
	}, "")
	slices.Sort(missing)
	for _, name := range slices.Compact(missing) {
		at := use(name).FindIndex(content)
		r.Warn(position(file, content, at[0]), "variable "+name+" is not set and counts as empty", "set it in the environment, or write $$ for a plain $")
	}
	return err
}

// use finds where a text takes the value of a variable as it is.
func use(name string) *regexp.Regexp {
	return regexp.MustCompile(`\$(\{` + regexp.QuoteMeta(name) + `\}|` + regexp.QuoteMeta(name) + `\b)`)
}

// plainly tells whether a text takes the value of a variable, and nowhere asks
// whether there is one.
func plainly(name string, content []byte) bool {
	asks := regexp.MustCompile(`\$\{` + regexp.QuoteMeta(name) + `[^}\w]|(?m:^\s*(export\s+)?` + regexp.QuoteMeta(name) + `\s*$)`)
	return use(name).Match(content) && !asks.Match(content)
}

// notText finds the first byte of a text that is not UTF-8; -1 when all is.
func notText(content []byte) int {
	for i := 0; i < len(content); {
		r, size := utf8.DecodeRune(content[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// position is the place of a byte of a file.
func position(file string, content []byte, at int) problem.Place {
	before := content[:at]
	line := bytes.LastIndexByte(before, '\n') + 1
	return problem.Place{File: file, Line: 1 + bytes.Count(before, []byte("\n")), Column: 1 + utf8.RuneCount(before[line:])}
}
