package portal

// ImageOf lets tests make the image around a program they built themselves.
var ImageOf = imageOf

// Waiting tells how many wait to ask a portal along with others.
func Waiting(d *Dialer, path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.windows[path].waiting)
}
