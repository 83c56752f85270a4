// Havre runs what you declare, always.
package main

import (
	"os"

	"havre/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
