package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/problem"
)

// size is how many containers a service is to have.
type size struct {
	name     string
	target   api.Target
	replicas int
}

func newScale(c *console) *cobra.Command {
	shared := false
	cmd := &cobra.Command{
		Use:   "scale NAME=N…",
		Short: "Change how many containers services have",
		Long: "Gives each service that many containers, 0 to 64, without a new rollout, and waits until they are\n" +
			"healthy. With 0 it is idle. The declaration says so from then on; a file that is applied afterwards\n" +
			"says anew. A service that writes to a volume has one container at most, because most programs, and\n" +
			"every database, ruin their data otherwise; --shared says that this one is made for it. On the way\n" +
			"back to one all of them stop first.",
		Example:           "  havre scale web=3 shop.worker=0\n  havre scale web 3",
		Args:              takes(1, -1, "at least one NAME=N"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			sizes, err := c.wanted(args)
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			for _, s := range sizes {
				err := c.following(cmd.Context(), "scale", s.name, func(report func(api.Progress)) error {
					return cl.Scale(cmd.Context(), s.target, api.Scale{Replicas: s.replicas, Shared: shared}, report)
				})
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&shared, "shared", false, "several containers may write to the services' volumes at once")
	return c.formats(cmd, "text", "json")
}

// wanted reads "NAME=N"…, or "NAME N". All are read before any is asked for.
func (c *console) wanted(args []string) ([]size, error) {
	if len(args) == 2 && !strings.Contains(args[0], "=") {
		args = []string{args[0] + "=" + args[1]}
	}
	var all []size
	for _, a := range args {
		name, number, _ := strings.Cut(a, "=")
		n, err := strconv.Atoi(number)
		if err != nil || name == "" {
			return nil, wrongScale(a)
		}
		t, err := c.oneService("scale", name)
		if err != nil {
			return nil, err
		}
		all = append(all, size{name, t, n})
	}
	return all, nil
}

// wrongScale is a word that is not NAME=N.
func wrongScale(word string) error {
	return problem.New(problem.Invalid, "%q does not say how many containers", word).With("write it like web=3, or: havre scale web 3")
}
