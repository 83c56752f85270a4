package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"havre/internal/problem"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/project"
)

func TestContainersComeNewestRolloutFirst(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", count(2)), app("db", "data"))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = w.apply("shop", app("web", "better", count(2)), app("db", "data"))
		}()
		time.Sleep(3 * time.Second)
		for range 20 {
			all, err := w.Containers(t.Context(), target("web"), false)
			if err != nil || len(all) != 4 || all[0].Rollout != 2 || all[3].Rollout != 1 || all[0].Serving || !all[3].Serving || !all[3].Running {
				t.Fatalf("%+v, %v", all, err)
			}
		}
		<-ended
		if all, _ := w.Containers(t.Context(), target("shop.db"), true); len(all) != 1 || all[0].Environment != "prod" {
			t.Errorf("got %+v", all)
		}
		uses, err := w.Uses(t.Context())
		if want := []deploy.Use{{"prod", "data", "prod.shop.db"}, {"prod", "better", "prod.shop.web"}}; err != nil || !slices.Equal(uses, want) {
			t.Errorf("%v, %v", uses, err)
		}
	})
}

func TestLogsOfAllReplicasComeInOrder(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", count(3)))
		zero := time.Now()
		read := func(_ context.Context, container string, r project.Reading, yield func(api.Line) error) error {
			if r.Tail != 5 {
				t.Errorf("of %s the last %d are asked for", container, r.Tail)
			}
			for i := range 3 {
				at := zero.Add(time.Duration(i)*time.Second + time.Duration(container[63]))
				if err := yield(api.Line{Time: at, Text: "x"}); err != nil {
					return err
				}
			}
			return nil
		}
		var got []api.Line
		err := w.Logs(t.Context(), target("web"), api.LogOptions{Tail: 5}, read, func(l api.Line) error {
			got = append(got, l)
			return nil
		})
		if err != nil || len(got) != 9 || !slices.IsSortedFunc(got, func(a, b api.Line) int { return a.Time.Compare(b.Time) }) || got[0].Service != "web" {
			t.Errorf("%v, %v", got, err)
		}
		enough := errors.New("enough")
		if err := w.Logs(t.Context(), target("web"), api.LogOptions{Tail: 5}, read, func(api.Line) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("the reader's error becomes %v", err)
		}
	})
}

func TestFollowedLogsGoOnWithNewContainers(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good"))
		read := func(ctx context.Context, container string, r project.Reading, yield func(api.Line) error) error {
			for i := 0; ; i++ {
				if err := yield(api.Line{Time: time.Now(), Text: container}); err != nil {
					return err
				}
				if !r.Follow && i == 3 {
					return nil
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Second):
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		seen := map[string]bool{}
		ended := make(chan error)
		go func() {
			ended <- w.Logs(ctx, target("web"), api.LogOptions{Follow: true}, read, func(l api.Line) error {
				seen[l.Text] = true
				return nil
			})
		}()
		time.Sleep(10 * time.Second)
		w.must("shop", app("web", "better"))
		time.Sleep(10 * time.Second)
		cancel()
		if err := <-ended; err != nil || len(seen) != 2 {
			t.Errorf("it ends with %v after lines of %d containers", err, len(seen))
		}
	})
}

func TestListFindsProjectsInAnyCase(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good"))
		for _, name := range []string{"", "shop", "Shop"} {
			if all, err := w.List(t.Context(), "prod", name); err != nil || len(all) != 1 {
				t.Errorf("%q: %v, %v", name, all, err)
			}
		}
		if all, err := w.List(t.Context(), "test", ""); err != nil || len(all) != 0 {
			t.Errorf("of another environment: %v, %v", all, err)
		}
	})
}

// A replica may have had many containers: the last lines are those of all of
// them together.
func TestLastLinesAreOfAReplicaAndNotOfEachContainerItHad(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "nine"))
		time.Sleep(20 * time.Second)
		w.loop.Poke() // as the engine's events do
		time.Sleep(time.Second)
		all, err := w.Containers(t.Context(), target("web"), true)
		if err != nil || len(all) < 2 {
			t.Fatalf("%d containers, %v", len(all), err)
		}
		zero := time.Now()
		read := func(_ context.Context, container string, r project.Reading, yield func(api.Line) error) error {
			age := slices.IndexFunc(all, func(c deploy.Container) bool { return c.ID == container }) // newest first
			for i := range 5 {
				if err := yield(api.Line{Time: zero.Add(time.Duration(i)*time.Millisecond - time.Duration(age)*time.Second), Text: fmt.Sprint(age, i)}); err != nil {
					return err
				}
			}
			return nil
		}
		for tail, want := range map[int]string{2: "0 3,0 4", 6: "1 4,0 0,0 1,0 2,0 3,0 4"} {
			var got []string
			err = w.Logs(t.Context(), target("web"), api.LogOptions{Tail: tail}, read, func(l api.Line) error {
				got = append(got, l.Text)
				return nil
			})
			if err != nil || strings.Join(got, ",") != want {
				t.Errorf("%d: %q, %v; want %s", tail, got, err, want)
			}
		}
	})
}

func TestEnvironmentThatIsNotThereHasNoServicesToList(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		if _, err := w.List(t.Context(), "staging", ""); problem.KindOf(err) != problem.NotFound || !strings.Contains(err.Error(), "no environment is named staging") {
			t.Errorf("services: %v", err)
		}
		if _, err := w.VolumeList(t.Context(), "staging", "", false); problem.KindOf(err) != problem.NotFound {
			t.Errorf("volumes: %v", err)
		}
		if all, err := w.List(t.Context(), "test", ""); err != nil || len(all) != 0 {
			t.Errorf("one that is there and empty: %v, %v", all, err)
		}
	})
}
