// Package pattern is regular expressions that are compiled when they are first
// asked. Havre's processes share one program and each needs few of them: all
// of them at every start took five milliseconds and a megabyte of each.
package pattern

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression of package regexp. The methods are those of
// regexp.Regexp; the first of them to be called panics where the text is no
// expression, which a test of the whole tree (TestPatternsAreExpressions) looks
// for.
type Pattern struct {
	text     string
	once     sync.Once
	compiled *regexp.Regexp
}

// New takes the text of an expression.
func New(text string) *Pattern { return &Pattern{text: text} }

func (p *Pattern) get() *regexp.Regexp {
	p.once.Do(func() { p.compiled = regexp.MustCompile(p.text) })
	return p.compiled
}

// MatchString tells whether s has a match.
func (p *Pattern) MatchString(s string) bool { return p.get().MatchString(s) }

// FindStringSubmatch gives the leftmost match and its groups, nil for none.
func (p *Pattern) FindStringSubmatch(s string) []string { return p.get().FindStringSubmatch(s) }

// FindStringIndex gives where the leftmost match begins and ends, nil for none.
func (p *Pattern) FindStringIndex(s string) []int { return p.get().FindStringIndex(s) }

// ReplaceAllStringFunc gives s with each match replaced by what by makes of it.
func (p *Pattern) ReplaceAllStringFunc(s string, by func(string) string) string {
	return p.get().ReplaceAllStringFunc(s, by)
}

// ReplaceAllString gives s with each match replaced; $1 in by is a group.
func (p *Pattern) ReplaceAllString(s, by string) string { return p.get().ReplaceAllString(s, by) }
