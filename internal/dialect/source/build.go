package source

import "havre/internal/problem"

// Build says how the image of a service is made. Whoever applies the project
// makes it; the project itself knows the image by its name only.
type Build struct {
	Service    string
	Image      string // name of what is made
	Dir        string // the context, a directory of this machine, or in the repository
	Repository Repository
	Dockerfile string   // path from Dir; "" is Dockerfile
	Target     string   // stage to stop at; "" is the last one
	Args       []string // NAME=value
	NoCache    bool     // every step runs again
	Always     bool     // also when there is such an image
	Where      problem.Place
}

// Context is the context in one word, as Compose writes it.
func (b Build) Context() string {
	if b.Repository.URL == "" {
		return b.Dir
	}
	text := b.Repository.URL
	if b.Repository.Ref != "" || b.Dir != "" {
		text += "#" + b.Repository.Ref
	}
	if b.Dir != "" {
		text += ":" + b.Dir
	}
	return text
}

// Repository is where git finds a context; the zero value is none.
type Repository struct {
	URL string
	Ref string // branch, tag or commit; "" is what the repository begins with
}

// Held is where a secret of the files has what it holds from: a file of this
// machine, or a variable.
type Held struct{ File, Variable string }
