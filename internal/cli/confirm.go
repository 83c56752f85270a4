package cli

import (
	"bufio"
	"context"
	"strings"

	"havre/internal/problem"
)

// confirm asks before something is changed, unless yes was said already.
// Errors: Invalid where nobody can be asked; exit code 2 when it is not wanted.
func (c *console) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !terminal(c.in) || !terminal(c.errs) {
		return problem.New(problem.Invalid, "nobody can be asked whether this is wanted, and nothing was changed").
			With("say it beforehand with --yes")
	}
	write(c.errs, clean(question)+" [y/N] ")
	reply := make(chan string, 1)
	go func() { // a read of a terminal cannot be broken off; it ends with the process
		text, err := bufio.NewReader(c.in).ReadString('\n')
		if err != nil {
			text = ""
		}
		reply <- text
	}()
	select {
	case <-ctx.Done():
		c.note("\nnothing was changed")
		return ctx.Err()
	case text := <-reply:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "y", "yes":
			return nil
		}
		c.note("nothing was changed")
		return coded{code: exitInput}
	}
}
