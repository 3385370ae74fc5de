package main

import (
	"context"
	"io"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

// localStack serves a local stack with demo data that a function can run against.
func localStack(ctx context.Context, function string) (env []string, stop func(), err error) {
	server, err := devstack.Serve(ctx, "template.yaml", 0, io.Discard, func(o *devstack.Options) { o.WebhookURL = devstack.EventsWebhookURL })
	if err != nil {
		return nil, nil, err
	}
	stop = func() { _ = server.Close() } // nobody else uses it
	env, err = server.FunctionEnvironment(function)
	if err != nil {
		stop()
		return nil, nil, err
	}
	return env, stop, nil
}
