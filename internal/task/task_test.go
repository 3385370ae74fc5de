package task_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/task"
)

func TestStart(t *testing.T) {
	t.Parallel()
	if n, err := task.Start(func() (int, error) { return 7, nil }).Wait(); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	fault := errors.New("fault")
	failed := task.Start(func() (int, error) { return 0, fault })
	for range 2 {
		if _, err := failed.Wait(); !errors.Is(err, fault) || task.IsPanic(err) {
			t.Errorf("error %v", err)
		}
	}
}

func panics() error { panic("on fire") }

func TestPanicsAreErrors(t *testing.T) {
	t.Parallel()
	_, started := task.Start(func() (int, error) { return 1, panics() }).Wait()
	group, ctx := task.WithContext(t.Context())
	group.Go(panics)
	group.Go(func() error { <-ctx.Done(); return ctx.Err() })
	for name, err := range map[string]error{"task": started, "group": group.Wait()} {
		p, ok := errors.AsType[*task.PanicError](err)
		if !ok || p.Value != "on fire" || !strings.Contains(p.Stack, "task_test.panics") || !task.IsPanic(err) {
			t.Errorf("%s: error %#v", name, err)
		}
	}
	if !errors.Is(context.Cause(ctx), context.Canceled) && !task.IsPanic(context.Cause(ctx)) {
		t.Errorf("the others go on: %v", context.Cause(ctx))
	}
}
