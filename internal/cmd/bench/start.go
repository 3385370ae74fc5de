package main

import (
	"context"
	"io"
	"os"
	"time"
)

// sizes reports the size of each function's binary, and of the empty program with the same clients.
func (b *bench) sizes(ctx context.Context) error {
	for _, f := range functions {
		var bytes [2]float64
		for i, path := range []string{function(f.name), program(f.empty)} {
			binary, err := b.build(ctx, path)
			if err != nil {
				return err
			}
			info, err := os.Stat(binary)
			if err != nil {
				return err
			}
			bytes[i] = float64(info.Size()) / 1e6
		}
		b.report("binary, "+f.name, bytes[0], "MB", bytes[1], "")
	}
	return nil
}

// coldStarts reports the time from a binary's start to its first request for an invocation.
func (b *bench) coldStarts(ctx context.Context) error {
	for _, f := range functions {
		environment, err := b.server.FunctionEnvironment(f.name)
		if err != nil {
			return err
		}
		environment = append(environment, "SSL_CERT_FILE="+b.roots.file)
		var took [2][]time.Duration
		for range b.rounds {
			for i, path := range []string{function(f.name), program(f.empty)} {
				instance, err := b.start(ctx, path, environment, io.Discard)
				if err != nil {
					return err
				}
				took[i] = append(took[i], instance.InitDuration())
				if err := instance.Close(); err != nil {
					return err
				}
			}
		}
		b.report("cold start, "+f.name, milliseconds(median(took[0])), "ms", milliseconds(median(took[1])), "≤ 1.15 × baseline")
	}
	return nil
}
