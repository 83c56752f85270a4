package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"havre/internal/problem"
	"havre/internal/role"
)

func newGuardLog(c *console) *cobra.Command {
	var data string
	var tail int
	var refused bool
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show what the guard let pass and what it refused, as JSON lines; for root",
		Args:  takes(0, 0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			lines, err := role.Layout{Data: data}.Audit(tail, refused)
			switch {
			case errors.Is(err, fs.ErrPermission):
				return problem.New(problem.Denied, "only root may read the guard's log").With("run it with sudo")
			case errors.Is(err, fs.ErrNotExist):
				return problem.New(problem.NotFound, "no guard has worked in %s yet", data).With("name the directory that Havre was started with: --data DIR")
			case err != nil:
				return err
			}
			out := bufio.NewWriter(c.out)
			for _, l := range lines {
				fmt.Fprintln(out, l)
			}
			return out.Flush()
		},
	}
	f := cmd.Flags()
	f.StringVar(&data, "data", role.DefaultData, "directory that Havre was started with")
	f.IntVarP(&tail, "tail", "n", 50, "at most so many last lines; 0 is all")
	f.BoolVar(&refused, "refused", false, "only what was refused")
	return cmd
}
