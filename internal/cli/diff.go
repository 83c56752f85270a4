package cli

import (
	"github.com/spf13/cobra"

	"havre/internal/api"
)

func newDiff(c *console) *cobra.Command {
	var o api.DiffOptions
	cmd := &cobra.Command{
		Use:   "diff NAME [A [B]]",
		Short: "Compare two rollouts of a service, field by field",
		Long: "Compares rollout A with rollout B. Without B that is the newest, without A the one that served before\n" +
			"B. Values of variables whose names end in PASSWORD, SECRET, TOKEN or KEY are hidden; of files a digest\n" +
			"is shown.",
		Example:           "  havre diff web\n  havre diff web r3 r5 --show-secrets",
		Args:              takes(1, 3, "one NAME and up to two rollouts"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := c.oneService("diff", args[0])
			if err != nil {
				return err
			}
			for i, into := range []*int{&o.From, &o.To} {
				if len(args) > i+1 {
					if *into, err = rolloutNumber(cmd, args[i+1]); err != nil {
						return err
					}
				}
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			d, err := cl.Diff(cmd.Context(), t, o)
			if err != nil {
				return err
			}
			if c.format == "json" {
				return c.json(d)
			}
			if len(d.Fields) == 0 {
				c.say("r%d and r%d of %s are alike", d.From, d.To, d.Service)
				return nil
			}
			c.say("%s, r%d -> r%d:", d.Service, d.From, d.To)
			for _, f := range d.Fields {
				c.say("  %s: %s -> %s", f.Field, side(f.Old), side(f.New))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.Secrets, "show-secrets", false, "show the values of all variables")
	return c.formats(cmd, "text", "json")
}

func side(text *string) string {
	if text == nil {
		return "(none)"
	}
	return *text
}
