package api

import "time"

// FileStat is what stands at a path in a service's container or a volume.
type FileStat struct {
	Name     string    `json:"name"`
	Dir      bool      `json:"dir"`
	Size     int64     `json:"size"`
	Link     string    `json:"link,omitempty" doc:"where it leads to, when it is a symbolic link"`
	Modified time.Time `json:"modified"`
}

// Fill is a directory on the caller's machine that a new volume begins with.
type Fill struct {
	Volume string `json:"volume"`
	From   string `json:"from" doc:"as the file names it"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
}

// Copied answers an archive that was unpacked.
type Copied struct {
	Path string `json:"path" doc:"the directory it was unpacked in"`
}
