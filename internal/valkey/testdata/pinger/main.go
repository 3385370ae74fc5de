// Pinger stands in for a function that is frozen between invocations: for each line of its input, a number, it sends that
// number of commands at once and writes a line, "ok" or the error.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

// patience is for a busy machine: a dead connection that is trusted costs all of it, and fails the test.
const patience = 10 * time.Second

func main() {
	client, err := valkey.New(valkey.Config{
		Address: os.Args[1], ClusterMode: os.Args[2] == "cluster", DialTimeout: patience, CommandTimeout: patience,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err == nil {
			err = ping(client, n)
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("ok")
	}
}

func ping(client *valkey.Client, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	results := make(chan error, n)
	for i := range n {
		go func() {
			if i%2 == 0 {
				_, _, err := client.Get(ctx, "{ping}"+strconv.Itoa(i))
				results <- err
				return
			}
			results <- client.Set(ctx, "{ping}"+strconv.Itoa(i), []byte("x"), time.Minute)
		}()
	}
	var failures []error
	for range n {
		failures = append(failures, <-results)
	}
	return errors.Join(failures...)
}
