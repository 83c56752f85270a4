package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"havre/internal/api"
)

func newVolumeLs(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls [PROJECT]",
		Short: "List volumes, who has them and where they are",
		Long: "Lists volumes. The size of a big one is counted in part and shown with a +; havre volume usage counts\n" +
			"all. KIND is by where services have it: cache (/vol/cache) and log (/vol/log) may be emptied.",
		Args: takes(0, 1, "at most one PROJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := c.volumes(cmd, args, false)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, v := range all {
				rows = append(rows, []string{volumeName(v), v.Environment, v.Kind, volumeSize(v), touched(v), hasIt(v), dash(v.Path)})
			}
			return c.list(all, []string{"NAME", "ENV", "KIND", "SIZE", "CHANGED", "USED BY", "PATH"}, rows)
		},
	}
	return c.formats(cmd, "table", "json", "name")
}

func newVolumeUsage(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "usage [PROJECT]",
		Short: "Count what volumes take on the disk",
		Args:  takes(0, 1, "at most one PROJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := c.volumes(cmd, args, true)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, v := range all {
				rows = append(rows, []string{volumeName(v), v.Environment, v.Kind, volumeSize(v), count(v.Files), hasIt(v)})
			}
			return c.list(all, []string{"NAME", "ENV", "KIND", "SIZE", "FILES", "USED BY"}, rows)
		},
	}
	return c.formats(cmd, "table", "json", "name")
}

func (c *console) volumes(cmd *cobra.Command, args []string, whole bool) ([]api.Volume, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	env, err := c.environment()
	if err != nil {
		return nil, err
	}
	all, err := cl.Volumes(cmd.Context(), env, strings.TrimSuffix(strings.Join(args, ""), "/"), whole)
	if err == nil && len(all) == 0 && c.format == "table" {
		c.note("no volumes; a service gets them by volumes: in its file, or by its image")
	}
	return all, err
}

// volumeName is how people name a volume.
func volumeName(v api.Volume) string { return v.Project + "/" + v.Name }

func volumeSize(v api.Volume) string {
	if v.Partial {
		return bytesize(v.Bytes) + "+"
	}
	return bytesize(v.Bytes)
}

func touched(v api.Volume) string {
	if v.Modified == nil {
		return "-"
	}
	return age(v.Modified.Truncate(time.Second))
}

func hasIt(v api.Volume) string {
	if v.Orphaned {
		return "nobody (orphaned)"
	}
	return dash(strings.Join(v.UsedBy, ", "))
}
