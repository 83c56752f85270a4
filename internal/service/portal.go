package service

import (
	"cmp"
	"slices"
	"time"
)

// PortalFarewell is how long a portal that was replaced may stay for those who
// are connected through it. A portal ends by itself with its last connection;
// the bound is for connections that never end, which would hold on to a program
// that is no longer kept up. It is longer than any download or mail takes.
const PortalFarewell = time.Hour

// mostOldPortals is how many portals that were replaced stay beside the newest.
const mostOldPortals = 2

// Portal is a container that dials into an environment's networks. The newest
// one serves. Those of earlier generations were replaced, take nobody more, and
// end with their last connection.
type Portal struct {
	Container   string // full id
	Environment string
	Generation  int    // counts up; 0 is of a Havre whose portals did not end by themselves
	Image       string // id
	Running     bool
	Created     time.Time
	Networks    []string // ids it is attached to
}

// PortalWork is what there is to do about the portals of one environment, in
// this order.
type PortalWork struct {
	Gone   []Portal // to be removed: they ended
	Keep   *Portal  // serves on; nil: one of generation Next is to be made, and to run before the rest is done
	Next   int
	Over   []Portal            // to be removed now that one serves
	Detach map[string][]string // networks to take containers off, by id of the container
}

// Idle tells whether there is nothing to do, if the kept one is on the right networks.
func (w PortalWork) Idle() bool {
	return w.Keep != nil && len(w.Gone)+len(w.Over)+len(w.Detach) == 0
}

// TendPortals says what there is to do so that one environment has a portal of
// this image ("": of any) and no old one for longer than it is of use, nor on
// any network but these. The newest is removed only after a newer one runs: an
// older one beside it could not be told from one that serves.
func TendPortals(have []Portal, image string, networks []string, now time.Time) PortalWork {
	all := slices.SortedFunc(slices.Values(have), func(a, b Portal) int {
		return cmp.Or(b.Generation-a.Generation, b.Created.Compare(a.Created))
	})
	w := PortalWork{Next: 1, Detach: map[string][]string{}}
	if len(all) > 0 {
		w.Next = all[0].Generation + 1
	}
	replaced, stay := now, 0
	for i, p := range all {
		switch {
		case i == 0 && p.Running && (image == "" || p.Image == image):
			w.Keep = &p
		case !p.Running && i == 0:
			w.Over = append(w.Over, p)
		case !p.Running:
			w.Gone = append(w.Gone, p)
		case p.Generation == 0 || stay == mostOldPortals || now.Sub(replaced) >= PortalFarewell || !meet(p.Networks, networks):
			w.Over = append(w.Over, p)
		default:
			stay++
			if off := without(p.Networks, networks); len(off) > 0 {
				w.Detach[p.Container] = off
			}
		}
		replaced = p.Created
	}
	return w
}

// meet tells whether a and b have something in common.
func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

// without gives what of a is not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return slices.Contains(b, x) })
}
