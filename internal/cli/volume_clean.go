package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/client"
)

func count(n int64) string { return strconv.FormatInt(n, 10) }

func newVolumeClean(c *console) *cobra.Command {
	var orphans, yes bool
	cmd := &cobra.Command{
		Use:   "clean [NAME…]",
		Short: "Empty caches and logs",
		Long: "Empties volumes that are nothing but cache or log to their services, all or those named. A running\n" +
			"service goes on: files of a log become empty and stay, a cache goes. Data is never touched, but for\n" +
			"--orphans: that removes volumes that no service has, for good, after asking.",
		Example: "  havre volume clean\n  havre volume clean shop/web.vol-cache\n  havre volume clean --orphans",
		Args:    takes(0, -1, "names of volumes: PROJECT/VOLUME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			env, err := c.environment()
			if err != nil {
				return err
			}
			all, err := cl.Volumes(cmd.Context(), env, "", false)
			if err != nil {
				return err
			}
			lost := orphaned(all, orphans)
			if len(lost) > 0 {
				if err := c.confirm(cmd.Context(), yes, "Remove "+strings.Join(lost, ", ")+" and all they hold, for good?"); err != nil {
					return err
				}
			}
			return c.clean(cmd.Context(), cl, cleaning{env, cleanable(all, args, orphans), lost})
		},
	}
	cmd.Flags().BoolVar(&orphans, "orphans", false, "remove volumes that no service has, too")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c.formats(cmd, "text", "json")
}

// cleaning is what is to be emptied and removed, by name.
type cleaning struct {
	env         string
	empty, gone []string
}

// cleanable names the volumes to empty: those asked for, else all caches and
// logs.
func cleanable(all []api.Volume, asked []string, orphans bool) []string {
	if len(asked) > 0 {
		return asked
	}
	var names []string
	for _, v := range all {
		if v.Kind != "data" && v.Kind != "read-only" && !v.Orphaned {
			names = append(names, v.Environment+"."+volumeName(v))
		}
	}
	return names
}

func orphaned(all []api.Volume, wanted bool) []string {
	var names []string
	for _, v := range all {
		if wanted && v.Orphaned {
			names = append(names, v.Environment+"."+volumeName(v))
		}
	}
	return names
}

func (c *console) clean(ctx context.Context, cl *client.Client, what cleaning) error {
	done := []api.Cleaned{}
	for _, name := range what.empty {
		one, err := cl.CleanVolume(ctx, what.env, name)
		if err != nil {
			return err
		}
		done = append(done, one)
		if c.format != "json" {
			c.say("emptied %s: %s in %d files", one.Volume, bytesize(one.Bytes), one.Files)
		}
	}
	gone := api.Removed{Gone: []string{}}
	for _, name := range what.gone {
		one, err := cl.RemoveVolume(ctx, what.env, name)
		if err != nil {
			return err
		}
		gone.Gone = append(gone.Gone, one.Gone...)
		if c.format != "json" {
			c.say("removed %s", name)
		}
	}
	if c.format == "json" {
		return c.json(struct {
			Emptied []api.Cleaned `json:"emptied"`
			Gone    []string      `json:"gone"`
		}{done, gone.Gone})
	}
	if len(done)+len(what.gone) == 0 {
		c.note("nothing to empty: no service has a volume at /vol/cache, /vol/log or /vol")
	}
	return nil
}
