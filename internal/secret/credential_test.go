package secret_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/secret"
)

// now is the time at which the tests begin.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	masterSID = "AC00000000000000000000000000000001"
	ownSID    = "AC00000000000000000000000000000002"
)

// vault is a secret that can change and be out of reach.
type vault struct {
	value string
	err   error
	asked int
}

func (v *vault) source(context.Context) (string, error) {
	v.asked++
	return v.value, v.err
}

func TestTwilioTokens(t *testing.T) {
	t.Parallel()
	v := &vault{value: `{"` + masterSID + `": "master-token", "` + ownSID + `": "own-token"}`}
	tokens := secret.NewTwilioTokens(v.source, masterSID, time.Now, slog.New(slog.DiscardHandler))
	for sid, want := range map[string]string{"": "master-token", masterSID: "master-token", ownSID: "own-token", "AC3": ""} {
		if got, err := tokens.AuthToken(t.Context(), sid); err != nil || got != want {
			t.Errorf("token of %q: %q, %v; want %q", sid, got, err, want)
		}
	}
	if v.asked != 1 {
		t.Errorf("asked %d times, want once", v.asked)
	}
}

func TestSufrahKey(t *testing.T) {
	t.Parallel()
	key := secret.NewSufrahKey((&vault{value: `{"apiKey": "k", "note": "rotated in May"}`}).source, time.Now, slog.New(slog.DiscardHandler))
	if got, err := key.APIKey(t.Context()); err != nil || got != "k" {
		t.Errorf("key %q, %v", got, err)
	}
}

// TestOtherForms: a secret that isn't of its form is an error, which doesn't show it.
func TestOtherForms(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "value-of-the-secret", `"value-of-the-secret"`, `["value-of-the-secret"]`, "null",
		`{"value-of-the-secret": 1}`, `{"a": {"value-of-the-secret": ""}}`, `{"apiKey": ""}`} {
		discard := slog.New(slog.DiscardHandler)
		source := (&vault{value: value}).source
		_, keyErr := secret.NewSufrahKey(source, time.Now, discard).APIKey(t.Context())
		_, tokenErr := secret.NewTwilioTokens(source, masterSID, time.Now, discard).AuthToken(t.Context(), "")
		for kind, err := range map[string]error{"key": keyErr, "tokens": tokenErr} {
			if kind == "tokens" && value == `{"apiKey": ""}` {
				continue // of the form, though no account's
			}
			if err == nil || strings.Contains(err.Error(), "value-of-the-secret") {
				t.Errorf("%s from %q: error %v", kind, value, err)
			}
		}
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	clock := now
	log := new(bytes.Buffer)
	v := &vault{}
	key := secret.NewSufrahKey(v.source, func() time.Time { return clock }, logging.New(log, slog.LevelDebug, "test"))
	down := errors.Join(errors.New("no route"), outage.ErrUnavailable)
	for i, step := range []struct {
		after  time.Duration
		stored string
		err    error
		want   string // "": an error
		asked  int
	}{
		{0, "", down, "", 1},                                   // nothing is known yet
		{0, "k1", nil, "k1", 2},                                // and a failure isn't remembered
		{secret.MaxAge - time.Nanosecond, "k2", nil, "k1", 2},  // still fresh
		{time.Nanosecond, "k2", nil, "k2", 3},                  // old enough
		{secret.MaxAge, "", down, "k2", 4},                     // not to be read: the old one
		{30*time.Second - time.Nanosecond, "k3", nil, "k2", 4}, // and that for a while
		{time.Nanosecond, "k3", nil, "k3", 5},                  // then it is read again
		{secret.MaxAge, "not of its form", nil, "k3", 6},       // as good as not to be read
		{-time.Hour, "k4", nil, "k4", 7},                       // the clock was put back
		{secret.MaxAge, "k5", context.DeadlineExceeded, "k4", 8},
	} {
		clock = clock.Add(step.after)
		v.value, v.err = `{"apiKey": "`+step.stored+`"}`, step.err
		if step.stored == "not of its form" {
			v.value = step.stored
		}
		got, err := key.APIKey(t.Context())
		if got != step.want || (err == nil) != (step.want != "") || v.asked != step.asked {
			t.Errorf("step %d: %q, %v, asked %d times; want %q, %d times", i, got, err, v.asked, step.want, step.asked)
		}
		if err != nil && !errors.Is(err, outage.ErrUnavailable) {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if warnings := strings.Count(log.String(), `"level":"WARN"`); warnings != 3 {
		t.Errorf("%d warnings, want 3: %s", warnings, log)
	}
}

// TestDoubtedToken: a caller that doubts a token makes the secret be read again, but not within ten seconds of the last
// reading, whether that succeeded or not. Every caller then gets the changed token.
func TestDoubtedToken(t *testing.T) {
	t.Parallel()
	clock := now
	v := &vault{}
	tokens := secret.NewTwilioTokens(v.source, masterSID, func() time.Time { return clock }, slog.New(slog.DiscardHandler))
	for i, step := range []struct {
		after         time.Duration
		stored        string
		err           error
		doubted, then string
		asked         int
	}{
		{0, "t1", nil, "t1", "t1", 1}, // doubted before anybody has read it
		{9 * time.Second, "t2", nil, "t1", "t1", 1},
		{time.Second, "t2", nil, "t2", "t2", 2},
		{10 * time.Second, "t3", context.DeadlineExceeded, "t2", "t2", 3},
		{9 * time.Second, "t3", nil, "t2", "t2", 3},
		{time.Second, "t3", nil, "t3", "t3", 4},
		{-time.Hour, "t4", nil, "t4", "t4", 5}, // the clock was put back
	} {
		clock = clock.Add(step.after)
		v.value, v.err = `{"`+masterSID+`": "`+step.stored+`"}`, step.err
		for range 3 {
			if got, err := tokens.NewAuthToken(t.Context(), ""); err != nil || got != step.doubted {
				t.Errorf("step %d: %q, %v, want %q", i, got, err, step.doubted)
			}
		}
		if got, err := tokens.AuthToken(t.Context(), ""); err != nil || got != step.then || v.asked != step.asked {
			t.Errorf("step %d: then %q, %v, asked %d times; want %q, %d times", i, got, err, v.asked, step.then, step.asked)
		}
	}
}

// TestShared: callers that come during a reading get its result, or leave when their time is over.
func TestShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		key := secret.NewSufrahKey(func(context.Context) (string, error) {
			asked++
			time.Sleep(time.Second)
			return `{"apiKey": "k"}`, nil
		}, time.Now, slog.New(slog.DiscardHandler))
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if got, err := key.APIKey(t.Context()); err != nil || got != "k" {
					t.Errorf("key %q, %v", got, err)
				}
			})
		}
		group.Go(func() {
			synctest.Wait() // the others are there
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := key.APIKey(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the hasty one: %v", err)
			}
		})
		group.Wait()
		if asked != 1 {
			t.Errorf("asked %d times, want once", asked)
		}
	})
}

func TestStatic(t *testing.T) {
	t.Parallel()
	tokens := secret.StaticTokens{AccountSID: masterSID, Token: "local"}
	for sid, want := range map[string]string{"": "local", masterSID: "local", ownSID: ""} {
		for _, look := range []func(context.Context, string) (string, error){tokens.AuthToken, tokens.NewAuthToken} {
			if got, err := look(t.Context(), sid); err != nil || got != want {
				t.Errorf("token of %q: %q, %v; want %q", sid, got, err, want)
			}
		}
	}
	if got, err := secret.StaticKey("k").APIKey(t.Context()); err != nil || got != "k" {
		t.Errorf("key %q, %v", got, err)
	}
}
