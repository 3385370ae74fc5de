package credential_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/test/localstore"
)

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// set moves the clock to an offset from start.
func (c *clock) set(offset time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = start.Add(offset)
}

// finder counts the look-ups in a store. If find is set, it answers in the store's place.
type finder struct {
	*stackstore.Store
	lookups atomic.Int64
	find    func(context.Context, credential.Hash) (credential.Credential, error)
}

func (f *finder) FindCredential(ctx context.Context, hash credential.Hash) (credential.Credential, error) {
	f.lookups.Add(1)
	if f.find != nil {
		return f.find(ctx, hash)
	}
	return f.Store.FindCredential(ctx, hash)
}

// fixture is an authenticator with its dependencies.
type fixture struct {
	*credential.Authenticator
	finder *finder
	clock  *clock
}

func setup(t testing.TB) *fixture {
	t.Helper()
	f := &finder{Store: localstore.New(t)}
	c := &clock{now: start}
	return &fixture{credential.NewAuthenticator(f, c.Now), f, c}
}

// issued stores a new credential and returns it with its raw value.
func (f *fixture) issued(t *testing.T, g credential.Grant) (string, credential.Credential) {
	t.Helper()
	raw, c := issue(t, g)
	if err := f.finder.AddCredential(t.Context(), c); err != nil {
		t.Fatalf("storing the credential: %v", err)
	}
	return raw, c
}

// want checks whether a raw value is accepted; a nil error means that it is.
func (f *fixture) want(t *testing.T, kind credential.Kind, raw string, want error) {
	t.Helper()
	c, err := f.Authenticate(t.Context(), kind, raw)
	if !errors.Is(err, want) {
		t.Errorf("at %s the error is %v, want %v", f.clock.Now().Format(time.TimeOnly), err, want)
	}
	if (err == nil) != (c.Hash == credential.HashOf(raw)) {
		t.Errorf("credential is %+v with error %v", c, err)
	}
}

func (f *fixture) wantLookups(t *testing.T, want int64) {
	t.Helper()
	if got := f.finder.lookups.Load(); got != want {
		t.Errorf("the store was asked %d times, want %d", got, want)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token, stored := f.issued(t, tokenGrant)
	key, _ := f.issued(t, keyGrant)
	brief, _ := f.issued(t, credential.Grant{Kind: credential.PAT, All: true, ExpiresAt: start.Add(time.Second)})
	stolen, revoked := f.issued(t, keyGrant)
	if err := f.finder.RevokeCredential(t.Context(), revoked.ID, start); err != nil {
		t.Fatalf("revoking the credential: %v", err)
	}
	f.clock.set(time.Second)

	tests := map[string]struct {
		kind credential.Kind
		raw  string
		want error
	}{
		"token":                    {credential.PAT, token, nil},
		"key":                      {credential.APIKey, key, nil},
		"token as a key":           {credential.APIKey, token, credential.ErrUnknown},
		"key as a token":           {credential.PAT, key, credential.ErrUnknown},
		"no kind":                  {"", token, credential.ErrUnknown},
		"expired":                  {credential.PAT, brief, credential.ErrExpired},
		"expired, as a key":        {credential.APIKey, brief, credential.ErrUnknown},
		"revoked":                  {credential.APIKey, stolen, credential.ErrRevoked},
		"unknown":                  {credential.PAT, "sufrah_pat_guess", credential.ErrUnknown},
		"a part of it":             {credential.PAT, token[:len(token)-1], credential.ErrUnknown},
		"more than it":             {credential.PAT, token + "A", credential.ErrUnknown},
		"in capitals":              {credential.PAT, strings.ToUpper(token), credential.ErrUnknown},
		"its hash":                 {credential.PAT, stored.Hash.String(), credential.ErrUnknown},
		"its id":                   {credential.PAT, stored.ID, credential.ErrUnknown},
		"empty":                    {credential.PAT, "", credential.ErrUnknown},
		"far too long":             {credential.PAT, strings.Repeat("a", 1_000_000), credential.ErrUnknown},
		"not the kind's, as known": {credential.Kind("root"), key, credential.ErrUnknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // the second answer may come from the cache
				f.want(t, test.kind, test.raw, test.want)
				if _, err := f.Authenticate(t.Context(), test.kind, test.raw); test.want != nil && !errors.Is(err, credential.ErrRefused) {
					t.Errorf("%v is not a refusal", err)
				}
			}
		})
	}
}

func TestAuthenticateReturnsTheCredential(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, want := f.issued(t, tokenGrant)
	for _, from := range []string{"the store", "the cache"} {
		got, err := f.Authenticate(t.Context(), credential.PAT, raw)
		if err != nil {
			t.Fatalf("authenticating the credential: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("credential from %s (-want +got):\n%s", from, diff)
		}
	}
}

func TestWhatCannotBeACredentialIsNotLookedUp(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, raw := range []string{"", strings.Repeat("a", 10_000)} {
		f.want(t, credential.PAT, raw, credential.ErrUnknown)
	}
	f.wantLookups(t, 0)
}

func TestCredentialsAreRememberedForAMinute(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, _ := f.issued(t, keyGrant)
	for _, step := range []struct {
		at      time.Duration
		lookups int64
	}{
		{0, 1}, {0, 1}, {30 * time.Second, 1}, {60*time.Second - 1, 1},
		{60 * time.Second, 2}, // using a credential doesn't make it remembered for longer
		{119 * time.Second, 2}, {24 * time.Hour, 3},
	} {
		f.clock.set(step.at)
		f.want(t, credential.APIKey, raw, nil)
		f.wantLookups(t, step.lookups)
	}
}

func TestRevocationTakesEffectWithinAMinute(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, c := f.issued(t, keyGrant)
	f.want(t, credential.APIKey, raw, nil)
	if err := f.finder.RevokeCredential(t.Context(), c.ID, start.Add(time.Millisecond)); err != nil {
		t.Fatalf("revoking the credential: %v", err)
	}
	for second := range 60 { // the credential is in use all the time
		f.clock.set(time.Duration(second) * time.Second)
		if _, err := f.Authenticate(t.Context(), credential.APIKey, raw); err != nil && !errors.Is(err, credential.ErrRevoked) {
			t.Errorf("after %d s the error is %v", second, err)
		}
	}
	for _, at := range []time.Duration{60 * time.Second, 61 * time.Second, time.Hour} {
		f.clock.set(at)
		f.want(t, credential.APIKey, raw, credential.ErrRevoked)
	}
}

// A slow answer is as old as its question: the credential may have been revoked while it was on its way.
func TestAgeCountsFromTheQuestion(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, c := f.issued(t, keyGrant)
	f.finder.find = func(context.Context, credential.Hash) (credential.Credential, error) {
		f.clock.set(40 * time.Second)
		return c, nil
	}
	f.want(t, credential.APIKey, raw, nil)
	f.finder.find = nil
	f.clock.set(60*time.Second - 1)
	f.want(t, credential.APIKey, raw, nil)
	f.wantLookups(t, 1)
	f.clock.set(60 * time.Second)
	f.want(t, credential.APIKey, raw, nil)
	f.wantLookups(t, 2)
}

// The expiry is known beforehand, so remembering a credential must not delay it.
func TestExpiryTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, _ := f.issued(t, credential.Grant{Kind: credential.PAT, All: true, ExpiresAt: start.Add(10 * time.Second)})
	f.want(t, credential.PAT, raw, nil)
	f.clock.set(10*time.Second - 1)
	f.want(t, credential.PAT, raw, nil)
	f.clock.set(10 * time.Second)
	f.want(t, credential.PAT, raw, credential.ErrExpired)
	f.wantLookups(t, 1)
}

// A clock that is set back must not make a credential remembered for longer.
func TestClockMovedBackwards(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, c := f.issued(t, keyGrant)
	f.want(t, credential.APIKey, raw, nil)
	if err := f.finder.RevokeCredential(t.Context(), c.ID, start.Add(-time.Hour)); err != nil {
		t.Fatalf("revoking the credential: %v", err)
	}
	f.clock.set(-1)
	f.want(t, credential.APIKey, raw, credential.ErrRevoked)
	f.wantLookups(t, 2)
}

func TestUnknownIsNotRemembered(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, c := issue(t, keyGrant)
	f.want(t, credential.APIKey, raw, credential.ErrUnknown)
	f.want(t, credential.APIKey, raw, credential.ErrUnknown)
	f.wantLookups(t, 2)
	if err := f.finder.AddCredential(t.Context(), c); err != nil {
		t.Fatalf("storing the credential: %v", err)
	}
	f.want(t, credential.APIKey, raw, nil)
}

func TestRememberedCredentialsAreBounded(t *testing.T) {
	t.Parallel()
	const most, many = 1000, 3000
	f := setup(t)
	raws, known := make([]string, many), make(map[credential.Hash]credential.Credential)
	for i := range raws {
		raws[i] = fmt.Sprintf("raw-%d", i)
		known[credential.HashOf(raws[i])] = keyGrant.Credential(raws[i], fmt.Sprintf("cr_%d", i), start)
	}
	f.finder.find = func(_ context.Context, hash credential.Hash) (credential.Credential, error) { return known[hash], nil }
	for _, raw := range raws {
		f.want(t, credential.APIKey, raw, nil)
	}
	f.wantLookups(t, many)
	f.want(t, credential.APIKey, raws[many-1], nil)
	f.wantLookups(t, many) // the latest one is still remembered
	for _, raw := range raws {
		f.want(t, credential.APIKey, raw, nil)
	}
	if again := f.finder.lookups.Load() - many; again < many-most {
		t.Errorf("%d of %d credentials were looked up again: more than %d were remembered", again, many, most)
	}
}

// That the store finds a credential is not enough to accept it.
func TestAnotherRowIsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, other := f.issued(t, keyGrant)
	raw, own := issue(t, keyGrant)
	nearly := own
	nearly.Hash[31] ^= 1
	for name, row := range map[string]credential.Credential{"another": other, "nearly the same": nearly, "empty": {}} {
		f.finder.find = func(context.Context, credential.Hash) (credential.Credential, error) { return row, nil }
		for range 2 {
			if c, err := f.Authenticate(t.Context(), credential.APIKey, raw); !errors.Is(err, credential.ErrUnknown) {
				t.Errorf("row %q is accepted as %+v, %v", name, c, err)
			}
		}
	}
	f.finder.find = func(context.Context, credential.Hash) (credential.Credential, error) { return own, nil }
	f.want(t, credential.APIKey, raw, nil)
}

func TestOutageIsNotARefusal(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{
		"outage": outage.ErrUnavailable, "cancelled": context.Canceled, "any other": errors.New("a driver's own"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			known, _ := f.issued(t, keyGrant)
			unseen, _ := f.issued(t, keyGrant)
			f.want(t, credential.APIKey, known, nil)
			f.finder.find = func(context.Context, credential.Hash) (credential.Credential, error) {
				return credential.Credential{}, fmt.Errorf("the store's words: %w", want)
			}

			f.want(t, credential.APIKey, unseen, want)
			if _, err := f.Authenticate(t.Context(), credential.APIKey, unseen); errors.Is(err, credential.ErrRefused) {
				t.Errorf("%v is a refusal", err)
			}
			f.want(t, credential.APIKey, known, nil) // remembered
			f.clock.set(credential.MaxCacheAge)
			f.want(t, credential.APIKey, known, want) // no longer remembered, and nobody gets in unverified

			f.finder.find = nil
			f.want(t, credential.APIKey, known, nil)
			f.want(t, credential.APIKey, unseen, nil)
		})
	}
}

func TestTheCallersContextReachesTheStore(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.finder.find = func(ctx context.Context, _ credential.Hash) (credential.Credential, error) {
		return credential.Credential{}, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Authenticate(ctx, credential.APIKey, "sufrah_key_any"); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	f := setup(t)
	good := make([]string, 20)
	for i := range good {
		good[i], _ = f.issued(t, keyGrant)
	}
	var group errgroup.Group
	for worker := range 8 {
		group.Go(func() error {
			for i := range 200 {
				if i%50 == 0 {
					f.clock.set(time.Duration(worker*i) * time.Second) // now and then, remembered credentials are too old
				}
				raw := good[(worker+i)%len(good)]
				c, err := f.Authenticate(t.Context(), credential.APIKey, raw)
				if err != nil || c.Hash != credential.HashOf(raw) {
					return fmt.Errorf("worker %d got %s, %w", worker, c.ID, err)
				}
				if _, err := f.Authenticate(t.Context(), credential.PAT, raw); !errors.Is(err, credential.ErrUnknown) {
					return fmt.Errorf("a key was taken for a token: %w", err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Errorf("authenticating at once: %v", err)
	}
}

// TestSeen: an instance still remembers that a credential was valid when it no longer accepts the credential without reading
// it. It remembers nothing else.
func TestSeen(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, c := f.issued(t, credential.Grant{Kind: credential.PAT, Restaurants: []string{"r1"}, ExpiresAt: start.Add(time.Hour)})
	wantSeen := func(when string, kind credential.Kind, raw string, want bool) {
		t.Helper()
		seen, ok := f.Seen(kind, raw)
		if ok != want || ok && seen.ID != c.ID || !ok && seen.ID != "" {
			t.Errorf("%s: seen %t, %+v", when, ok, seen)
		}
	}
	wantSeen("before", credential.PAT, raw, false)
	f.want(t, credential.PAT, raw, nil)
	wantSeen("after", credential.PAT, raw, true)
	wantSeen("as a key", credential.APIKey, raw, false)
	wantSeen("another", credential.PAT, raw+"x", false)
	wantSeen("none", credential.PAT, "", false)
	f.clock.set(time.Hour - 1)
	wantSeen("an hour later", credential.PAT, raw, true)
	f.clock.set(time.Hour)
	wantSeen("expired", credential.PAT, raw, false)
	f.wantLookups(t, 1)

	f.clock.set(10 * time.Minute)
	if err := f.finder.RevokeCredential(t.Context(), c.ID, start); err != nil {
		t.Fatalf("revoking the credential: %v", err)
	}
	wantSeen("revoked elsewhere", credential.PAT, raw, true)
	f.want(t, credential.PAT, raw, credential.ErrRevoked)
	wantSeen("known to be revoked", credential.PAT, raw, false)

	deleted, c := f.issued(t, keyGrant)
	f.want(t, credential.APIKey, deleted, nil)
	f.finder.find = func(context.Context, credential.Hash) (credential.Credential, error) {
		return credential.Credential{}, credential.ErrUnknown
	}
	f.clock.set(20 * time.Minute)
	f.want(t, credential.APIKey, deleted, credential.ErrUnknown)
	if _, ok := f.Seen(credential.APIKey, deleted); ok {
		t.Errorf("%s is gone, and still seen", c.ID)
	}
}

// TestRefusedIsNamed: the refusal of an issued credential names it; the refusal of a guess names nothing.
func TestRefusedIsNamed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, c := f.issued(t, credential.Grant{Kind: credential.PAT, All: true, ExpiresAt: start.Add(time.Second)})
	f.clock.set(time.Second)
	for _, kind := range []credential.Kind{credential.PAT, credential.APIKey} {
		_, err := f.Authenticate(t.Context(), kind, raw)
		if refused, ok := errors.AsType[*credential.RefusedError](err); !ok || refused.ID != c.ID {
			t.Errorf("as %s: error %#v", kind, err)
		}
	}
	_, err := f.Authenticate(t.Context(), credential.PAT, "guess")
	if _, ok := errors.AsType[*credential.RefusedError](err); ok || !errors.Is(err, credential.ErrUnknown) {
		t.Errorf("a guess: error %#v", err)
	}
}
