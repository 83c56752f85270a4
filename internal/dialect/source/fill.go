package source

import "havre/internal/problem"

// Fill says with what a new volume begins: a directory of the machine that the
// files are on. Who applies the project sends it.
type Fill struct {
	Volume string
	Dir    string // a path of this machine
	From   string // the directory as the file names it
	Files  int    // how many it has, links among them
	Bytes  int64
	Broken string // why it cannot be read whole; "" when it can
	Where  problem.Place
}
