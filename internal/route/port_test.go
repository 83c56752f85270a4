package route_test

import (
	"testing"

	"havre/internal/problem"
	"havre/internal/route"
)

func TestPortsAreGivenInTurn(t *testing.T) {
	taken := map[uint16]bool{4001: true, 4002: true}
	for _, c := range []struct{ last, want uint16 }{
		{0, 4000},
		{80, 4000},
		{4000, 4003},
		{4003, 4004},
		{59998, 59999},
		{59999, 4000},
		{65535, 4000},
	} {
		if got, err := route.Allocate(taken, c.last); err != nil || got != c.want {
			t.Errorf("after %d: %d, %v; want %d", c.last, got, err, c.want)
		}
	}
}

func TestPortGivenBackIsNotGivenNext(t *testing.T) {
	taken := map[uint16]bool{}
	first, _ := route.Allocate(taken, 0)
	taken[first] = true
	delete(taken, first)
	if next, _ := route.Allocate(taken, first); next == first {
		t.Errorf("%d again", first)
	}
}

func TestWhenAllPortsAreTakenItSaysSo(t *testing.T) {
	taken := map[uint16]bool{}
	for p := route.FirstPort; p <= route.LastPort; p++ {
		taken[uint16(p)] = true
	}
	if _, err := route.Allocate(taken, 5000); problem.KindOf(err) != problem.Conflict {
		t.Errorf("err = %v", err)
	}
	delete(taken, 4711)
	if got, err := route.Allocate(taken, 5000); err != nil || got != 4711 {
		t.Errorf("the last free one: %d, %v", got, err)
	}
}
