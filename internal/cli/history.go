package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/problem"
)

func newHistory(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "List the rollouts of a service, newest first",
		Long: "Lists the rollouts that are remembered: the newest twenty, the one that serves among them. IMAGE is\n" +
			"the name it was declared with and the id that the name meant then; CHANGED is what differs from\n" +
			"what served before. With -o json a failed one has the last lines it printed.",
		Args:              takes(1, 1, "one NAME"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := c.oneService("history", args[0])
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			all, err := cl.History(cmd.Context(), t)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, r := range all {
				rows = append(rows, []string{
					fmt.Sprintf("r%d", r.Number), r.State, strings.TrimSpace(r.Image + " " + shortID(r.ImageID)),
					age(r.Created), dash(changed(r)), r.Reason,
				})
			}
			return c.list(all, []string{"ROLLOUT", "STATE", "IMAGE", "AGE", "CHANGED", "REASON"}, rows)
		},
	}
	return c.formats(cmd, "table", "json", "name")
}

// oneService is the target of a command that is about one service.
func (c *console) oneService(verb, name string) (api.Target, error) {
	t, err := c.target(name)
	if err == nil && t.Project {
		err = problem.New(problem.Invalid, "%s is a whole project, and %s is about one service", name, verb).
			With("choose one of: havre ps %s", name)
	}
	return t, err
}

func changed(r api.Rollout) string {
	words := r.Changes
	if r.Back > 0 {
		words = append([]string{fmt.Sprintf("back to r%d", r.Back)}, words...)
	}
	return strings.Join(words, ", ")
}

// shortID is as much of an image's id as people can compare.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}

// rolloutNumber reads "3" or "r3".
func rolloutNumber(cmd *cobra.Command, text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(text, "r"))
	if err != nil || n < 1 {
		return 0, usage(cmd, "%q is no rollout; one is written 3 or r3", text)
	}
	return n, nil
}
