package guard_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"havre/internal/dockercall"
	"havre/internal/guard/guardtest"
	"havre/internal/lab"
)

// One that is let to the socket by its group is still nobody.
func TestStrangerInTheServersGroupIsRefused(t *testing.T) {
	s := open(t)
	conn, err := s.dialAs(64003)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.askOn(conn, question{method: "GET", path: "/_ping"}); err == nil || !strings.Contains(err.Error(), "caller-unknown") {
		t.Errorf("a stranger: %v", err)
	}
}

func TestPurgeRemovesHavresThingsAndNobodyElses(t *testing.T) {
	s := newSite(t, lab.Engine(t))
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	var answer dockercall.PurgeAnswer
	if err := s.askOn(conn, question{"POST", dockercall.PurgePath, "{}", &answer}); err != nil {
		t.Fatal(err)
	}
	if len(answer.Removed) < 8 {
		t.Errorf("removed only %v", answer.Removed)
	}
	for what, args := range map[string][]string{
		"containers": {"ps", "-aq", "--filter", "label=havre.instance"},
		"services":   {"service", "ls", "-q", "--filter", "label=havre.instance"},
		"networks":   {"network", "ls", "-q", "--filter", "label=havre.instance"},
		"secrets":    {"secret", "ls", "-q", "--filter", "label=havre.instance"},
		"configs":    {"config", "ls", "-q", "--filter", "label=havre.instance"},
		"images":     {"images", "-q", "havre.invalid/prod/app"},
	} {
		if left := s.Docker(t, args...); left != "" {
			t.Errorf("%s are left: %s", what, left)
		}
	}
	for _, args := range [][]string{
		{"inspect", s.vars["OTHERBOX"]}, {"network", "inspect", s.vars["OTHERNET"]}, {"service", "inspect", s.vars["OTHERSVC"]},
		{"config", "inspect", s.vars["OTHERCONFIG"]}, {"secret", "inspect", s.vars["OTHERSECRET"]}, {"image", "inspect", "secret:latest"}, {"image", "inspect", "debian:bookworm"},
	} {
		s.Docker(t, args...)
	}
	if left, err := os.ReadDir(s.data + "/volume"); err != nil || len(left) > 2 {
		t.Errorf("volumes are left: %v, %v", left, err)
	}
}

// A guard that was killed while it filled a volume leaves no trace of it.
func TestHalfAVolumeIsGoneAfterTheNextStart(t *testing.T) {
	s := open(t)
	draft := s.data + "/volume/.staging/half"
	if err := os.MkdirAll(draft+"/below", 0o700); err != nil {
		t.Fatal(err)
	}
	seed := s.Docker(t, "create", "--label", "havre.instance="+s.vars["INSTANCE"], "--label", "havre.kind=seed", "secret:latest")
	mine := s.Docker(t, "create", "--label", "havre.instance="+s.vars["INSTANCE"], "secret:latest")
	again := s.settings
	again.Socket += ".again"
	guardtest.Start(t, again)
	if _, err := os.Stat(draft); !os.IsNotExist(err) {
		t.Errorf("the half is there: %v", err)
	}
	lab.Eventually(t, "the guard's own container to go", func(ctx context.Context) error {
		left, err := s.Ask(ctx, "ps", "-aq", "--filter", "id="+seed)
		if err == nil && left != "" {
			err = errors.New("it is there")
		}
		return err
	})
	s.Docker(t, "rm", mine)
}
