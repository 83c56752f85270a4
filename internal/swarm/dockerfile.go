package swarm

import (
	"os"
	"regexp"
	"strings"
)

// instruction is one instruction of a Dockerfile, its lines joined, and which
// of the file's lines it covers.
type instruction struct {
	words       []string // the first in capitals
	first, past int
}

// rename gives the images that a Dockerfile takes from elsewhere other names,
// and lists them as they were called. Stages and scratch stay as they are.
// All else stays as it is, byte for byte.
func rename(text string, args map[string]string, to func(string) (string, error)) (out string, images []string, err error) {
	lines := strings.SplitAfter(text, "\n")
	file := dockerfile{given: args, values: map[string]string{}, stages: map[string]bool{}}
	for _, i := range instructions(lines) {
		at, flag := file.source(i)
		if at == 0 {
			continue
		}
		name := strings.TrimPrefix(file.expand(i.words[at]), flag)
		other, err := to(name)
		if err != nil {
			return "", nil, err
		}
		i.words[at] = flag + other
		images = append(images, name)
		for n := i.first; n < i.past; n++ {
			lines[n] = ""
		}
		lines[i.first] = strings.Join(i.words, " ") + strings.Repeat("\n", i.past-i.first) // later lines keep their numbers
	}
	return strings.Join(lines, ""), images, nil
}

// dockerfile is what is known of a file up to some instruction.
type dockerfile struct {
	given  map[string]string // by the person
	values map[string]string // of the ARGs before the first FROM
	stages map[string]bool   // in lower case
	begun  bool              // there was a FROM
}

// source finds the word that names an image from outside, and what stands in
// front of the name within the word; 0 is none. It follows ARG and FROM.
func (f *dockerfile) source(i instruction) (at int, flag string) {
	switch i.words[0] {
	case "ARG":
		f.argue(i.words[1:])
	case "FROM":
		return f.from(i.words), ""
	case "COPY":
		for n, w := range i.words[1:] {
			name, isFrom := strings.CutPrefix(w, "--from=")
			if isFrom && !f.stages[strings.ToLower(name)] && !number.MatchString(name) {
				return n + 1, "--from="
			}
			if !strings.HasPrefix(w, "--") {
				break
			}
		}
	}
	return 0, ""
}

var number = regexp.MustCompile(`^[0-9]+$`)

func (f *dockerfile) from(words []string) int {
	f.begun = true
	at := 1
	for at < len(words) && strings.HasPrefix(words[at], "--") {
		at++
	}
	if at >= len(words) {
		return 0 // the engine will say so
	}
	base := strings.ToLower(f.expand(words[at]))
	isStage := f.stages[base]
	if at+2 < len(words) && strings.EqualFold(words[at+1], "AS") {
		f.stages[strings.ToLower(words[at+2])] = true
	}
	if isStage || base == "scratch" {
		return 0
	}
	return at
}

// argue follows ARG NAME[=default]. Only those before the first FROM can
// name images (Dockerfile reference, "Understand how ARG and FROM interact").
func (f *dockerfile) argue(words []string) {
	if f.begun {
		return
	}
	for _, w := range words {
		name, value, hasDefault := strings.Cut(w, "=")
		if given, ok := f.given[name]; ok {
			f.values[name] = given
		} else if hasDefault {
			f.values[name] = f.expand(value)
		}
	}
}

// expand replaces $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word}, and takes
// quotes off.
func (f *dockerfile) expand(word string) string {
	if len(word) > 1 && (word[0] == '"' || word[0] == '\'') && word[len(word)-1] == word[0] {
		quote := word[0]
		word = word[1 : len(word)-1]
		if quote == '\'' {
			return word
		}
	}
	return os.Expand(word, func(name string) string {
		if name, instead, found := strings.Cut(name, ":-"); found {
			if f.values[name] == "" {
				return f.expand(instead)
			}
			return f.values[name]
		}
		if name, instead, found := strings.Cut(name, ":+"); found {
			if f.values[name] == "" {
				return ""
			}
			return f.expand(instead)
		}
		return f.values[name]
	})
}

var directive = regexp.MustCompile("^#\\s*([a-zA-Z]+)\\s*=\\s*(\\S+)\\s*$")

// instructions takes a Dockerfile apart as far as is needed to find the
// images: comments, continued lines and the escape directive.
func instructions(lines []string) []instruction {
	escape := escapeOf(lines)
	var all []instruction
	var open *instruction
	for n, line := range lines {
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' {
			continue // also within a continued instruction
		}
		if open == nil {
			open = &instruction{first: n}
		}
		more := strings.HasSuffix(text, escape)
		open.words = append(open.words, strings.Fields(strings.TrimSuffix(text, escape))...)
		open.past = n + 1
		if !more && len(open.words) > 0 {
			all = append(all, *open)
		}
		if !more {
			open = nil
		}
	}
	if open != nil && len(open.words) > 0 {
		all = append(all, *open)
	}
	for _, i := range all {
		i.words[0] = strings.ToUpper(i.words[0])
	}
	return all
}

// escapeOf reads the directives, which only the top of the file can have.
func escapeOf(lines []string) string {
	seen := map[string]string{}
	for _, line := range lines {
		m := directive.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			break
		}
		name := strings.ToLower(m[1])
		if _, twice := seen[name]; !twice {
			seen[name] = m[2]
		}
	}
	if seen["escape"] == "`" {
		return "`"
	}
	return `\`
}
