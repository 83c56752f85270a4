package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// fill is what the program does as an image's /dk/container_init: it writes
// down in /vol/rw/filled that it began and that it is done, INIT_LASTS apart.
// With INIT_EXIT it ends with that code instead.
func fill() error {
	fmt.Printf("filling as %d:%d\n", os.Getuid(), os.Getgid())
	if err := write("/vol/rw/filled", "begun"); err != nil {
		return err
	}
	lasts, err := time.ParseDuration(setting("INIT_LASTS", "0s"))
	if err != nil {
		return err
	}
	time.Sleep(lasts)
	code, err := strconv.Atoi(setting("INIT_EXIT", "0"))
	if err != nil {
		return err
	}
	if code != 0 {
		fmt.Fprintln(os.Stderr, "the disk of this test is full")
		os.Exit(code)
	}
	return errors.Join(write("/vol/ro/given", "by init"), write("/vol/rw/filled", "done"))
}
