// Command sweep removes the test worlds that killed test runs left behind.
package main

import (
	"fmt"
	"os"

	"havre/internal/lab"
)

func main() {
	if err := lab.Sweep(); err != nil {
		fmt.Fprintln(os.Stderr, "sweep:", err)
		os.Exit(1)
	}
}
