package source

import "havre/internal/problem"

// Build says how the image of a service is made. Whoever applies the project
// makes it; the project itself knows the image by its name only.
type Build struct {
	Service    string
	Image      string   // name of what is made
	Dir        string   // the context, a directory of this machine
	Dockerfile string   // path from Dir; "" is Dockerfile
	Target     string   // stage to stop at; "" is the last one
	Args       []string // NAME=value
	NoCache    bool     // every step runs again
	Always     bool     // also when there is such an image
	Where      problem.Place
}
