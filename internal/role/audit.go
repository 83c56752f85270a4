package role

import (
	"iter"

	"havre/internal/audit"
)

// Audit gives lines of the guard's audit, in the order of their times.
//
// Errors: fs.ErrNotExist when no guard has worked there, fs.ErrPermission.
func (l Layout) Audit(q audit.Query) iter.Seq2[audit.Line, error] {
	return audit.Read(l.GuardDir(), q)
}
