package audit

import (
	"fmt"
	"strings"
	"unicode"
)

// The most bytes of a text, and of a list.
const mostText, mostList = 400, 2000

// trim cuts what a caller could make long, and takes out what a terminal
// would obey or JSON would write six bytes for.
func (e *Entry) trim() {
	for _, s := range []*string{&e.Method, &e.Path, &e.Object, &e.Name, &e.Says, &e.File} {
		*s = cut(*s, mostText)
	}
	for _, list := range []*[]string{&e.Images, &e.Mounts, &e.Command, &e.Check} {
		*list = cutList(*list)
	}
}

func cutList(list []string) []string {
	var kept []string
	left := mostList
	for i, s := range list {
		s = cut(s, min(mostText, left))
		if left -= len(s) + 4; left < 4 {
			return append(kept, fmt.Sprintf("… and %d more", len(list)-i))
		}
		kept = append(kept, s)
	}
	return kept
}

// cut gives the beginning of a text, of at most so many bytes and a sign that
// there was more.
func cut(s string, most int) string {
	var b strings.Builder
	for i, r := range s {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		if i >= most || b.Len() >= most {
			return b.String() + "…"
		}
		b.WriteRune(r)
	}
	return b.String()
}
