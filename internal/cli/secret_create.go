package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/problem"
	"havre/internal/secret"
	"havre/internal/spec"
)

func newSecretCreate(c *console) *cobra.Command {
	var file string
	var renew bool
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Give a secret of the environment a value",
		Long: "Reads the value from standard input or a file, byte for byte, and keeps it encrypted. Files refer to it\n" +
			"by external: true. It cannot be read back. A name that is there already gets a new value: services that\n" +
			"use it are given that at their next apply, or at once with --renew, each by a switch.",
		Example:           "  openssl rand -hex 32 | tr -d '\\n' | havre secret create db_password\n  havre secret create tls_key -f key.pem --renew",
		Args:              takes(1, 1, "one NAME"),
		ValidArgsFunction: c.secretNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			env, err := c.ownEnvironment()
			if err != nil {
				return err
			}
			if !spec.ValidSecret(args[0]) {
				return problem.New(problem.Invalid, "%q cannot name a secret", args[0]).With("%s", spec.SecretRemedy)
			}
			value, err := c.secretValue(file)
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			made, err := cl.CreateSecret(cmd.Context(), api.NewSecret{Environment: env, Name: args[0], Value: value})
			if err != nil {
				return err
			}
			if err := c.createdSecret(made, renew); err != nil || !renew {
				return err
			}
			return c.renew(cmd.Context(), cl, made)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "-", "the file with the value; - is standard input")
	cmd.Flags().BoolVar(&renew, "renew", false, "have the services that use it run with the new value at once")
	return c.formats(cmd, "text", "json", "name")
}

// secretValue reads a value; on a terminal it asks for it and shows nothing.
func (c *console) secretValue(file string) (secret.Sent, error) {
	from := c.in
	switch {
	case file == "-" && terminal(c.in):
		write(c.errs, "Value (it is not shown): ")
		text, err := term.ReadPassword(int(c.in.Fd()))
		c.note("")
		if err != nil {
			return nil, problem.New(problem.Invalid, "read the value").Because(err)
		}
		return sized(text)
	case file != "-":
		f, err := os.Open(filepath.Clean(file))
		if err != nil {
			return nil, problem.New(problem.Invalid, "open the file with the value").Because(err).With("name a readable file with -f")
		}
		defer f.Close() //nolint:errcheck // read, never written
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, spec.MaxSecret+1))
	if err != nil {
		return nil, problem.New(problem.Invalid, "read the value").Because(err).With("name a readable file with -f")
	}
	if bytes.HasSuffix(text, []byte("\n")) && bytes.Count(text, []byte("\n")) == 1 {
		c.note("note: the value ends with a line break, which is kept; to leave it out, pipe it through: tr -d '\\n'")
	}
	return sized(text)
}

func sized(text []byte) (secret.Sent, error) {
	if n := len(text); n < 1 || n > spec.MaxSecret {
		says := "the value is empty"
		if n > 0 {
			says = "the value is too large"
		}
		return nil, problem.New(problem.Invalid, "%s", says).With("give it 1 to %d bytes", spec.MaxSecret)
	}
	return secret.Sent(text), nil
}

func (c *console) createdSecret(s api.Secret, renew bool) error {
	switch {
	case c.format == "json" && renew:
		return nil // each line of the output is a step
	case c.format == "json":
		return c.json(s)
	case c.format == "name":
		c.say("%s", s.Name)
	default:
		c.say("secret %s in %s is version %s", s.Name, s.Environment, short(s.Version))
	}
	if len(s.Behind) > 0 && !renew {
		c.note("%s go on with the former value until the next apply; at once: havre secret create %s --renew", strings.Join(s.Behind, ", "), s.Name)
	}
	return nil
}

// renew has the services that use a secret run with its present value.
func (c *console) renew(ctx context.Context, cl *client.Client, s api.Secret) error {
	t := c.teller()
	err := cl.RenewSecret(ctx, s.Environment, s.Name, func(line api.Progress) {
		if line.Plan != nil && c.format != "json" {
			c.plan(c.out, *line.Plan)
		}
		t.tell(line)
	})
	if ctx.Err() != nil {
		c.goesOn("the update of what uses "+s.Name, "")
		return err
	}
	t.done(nil, err)
	return err
}
