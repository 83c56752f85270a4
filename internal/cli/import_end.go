package cli

import (
	"context"

	"github.com/spf13/cobra"

	"havre/internal/adopt"
	"havre/internal/role"
)

func newImportLs(c *console) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List imports that are neither confirmed nor undone",
		Args:  takes(0, 0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			m, err := role.OpenImports(role.Layout{Data: data})
			if err != nil {
				return err
			}
			all, err := m.All()
			if err != nil {
				return err
			}
			var rows [][]string
			for _, i := range all {
				rows = append(rows, []string{i.Project.Name, i.Environment, string(i.Stage), age(i.Began)})
			}
			return c.list(all, []string{"NAME", "ENV", "STAGE", "AGE"}, rows)
		},
	}
	cmd.Flags().StringVar(&data, "data", role.DefaultData, "directory that Havre was started with")
	return c.formats(cmd, "table", "json", "name")
}

func newImportUndo(c *console) *cobra.Command {
	return c.ending("undo", "Give the data back and start the old ones again", adopt.Importer.Undo, "as before: %s is gone, and what it replaced is back")
}

func newImportConfirm(c *console) *cobra.Command {
	return c.ending("confirm", "Keep an import: remove the old containers and their empty volumes", adopt.Importer.Confirm, "done: %s stays, and what it replaced is gone")
}

// ending is a command that ends an import.
func (c *console) ending(name, does string, do func(adopt.Importer, context.Context, *adopt.Import) error, said string) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   name + " NAME",
		Short: does,
		Args:  takes(1, 1, "one NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := role.OpenImports(role.Layout{Data: data})
			if err != nil {
				return err
			}
			release, err := m.Hold(args[0])
			if err != nil {
				return err
			}
			defer release()
			i, err := m.Begun(args[0])
			if err != nil {
				return err
			}
			if err := do(c.importer(m), cmd.Context(), &i); err != nil {
				return err
			}
			if c.format == "json" {
				return c.json(i)
			}
			c.say(said, i.Project.Name)
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", role.DefaultData, "directory that Havre was started with")
	return c.formats(cmd, "text", "json")
}
