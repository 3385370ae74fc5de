package credential

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/ttl"
)

// MaxCacheAge is how long an instance may accept a credential after it was revoked.
const MaxCacheAge = 60 * time.Second

// maxCached bounds the remembered credentials, and so their memory.
const maxCached = 1000

// Finder looks up credentials. Its answers are strongly consistent: a credential revoked before the call is revoked in the
// answer.
type Finder interface {
	// FindCredential returns the credential with the hash. It fails with ErrUnknown if there is none, and with
	// outage.ErrUnavailable if the store cannot tell.
	FindCredential(ctx context.Context, hash Hash) (Credential, error)
}

// Authenticator verifies raw values. It remembers credentials for MaxCacheAge. It doesn't remember unknown values, so that a
// new token works at once. It is safe for concurrent use.
type Authenticator struct {
	finder Finder
	now    func() time.Time
	cached *ttl.Cache[Hash, Credential]
}

// NewAuthenticator returns an Authenticator that finds credentials with finder and takes the time from now.
func NewAuthenticator(finder Finder, now func() time.Time) *Authenticator {
	return &Authenticator{finder: finder, now: now, cached: ttl.New[Hash, Credential](maxCached)}
}

// Authenticate returns the credential with the value raw. It fails with ErrRefused (more exactly ErrUnknown, ErrExpired or
// ErrRevoked; a value of the other kind is unknown) or with outage.ErrUnavailable: if the store fails, nobody gets in
// unverified. The refusal of a credential that we issued is a *RefusedError.
func (a *Authenticator) Authenticate(ctx context.Context, kind Kind, raw string) (Credential, error) {
	if raw == "" || len(raw) > maxRawLength {
		return Credential{}, ErrUnknown
	}
	hash := HashOf(raw)
	now := a.now().Round(0) // by the wall clock: the monotonic clock may stand still while the instance is frozen
	c, ok := a.cached.Get(hash, now, MaxCacheAge)
	if !ok {
		var err error
		if c, err = a.finder.FindCredential(ctx, hash); err != nil {
			if errors.Is(err, ErrUnknown) {
				a.cached.Delete(hash)
				return Credential{}, ErrUnknown
			}
			return Credential{}, fmt.Errorf("looking up the credential: %w", err)
		}
		a.cached.Put(c.Hash, c, now)
	}
	// The store has found the credential by its hash. This comparison is a second safeguard, should the store return another
	// credential. It takes the same time wherever the two hashes differ.
	if subtle.ConstantTimeCompare(c.Hash[:], hash[:]) != 1 {
		return Credential{}, ErrUnknown
	}
	if c.Kind != kind {
		return Credential{}, &RefusedError{c.ID, errOtherKind}
	}
	if err := c.Check(now); err != nil {
		return Credential{}, &RefusedError{c.ID, err}
	}
	return c, nil
}

// Seen returns the credential that this instance last saw for the value, if it was valid then and hasn't expired since. It
// asks nobody and verifies nothing: the credential may have been revoked since.
func (a *Authenticator) Seen(kind Kind, raw string) (Credential, bool) {
	if len(raw) > maxRawLength {
		return Credential{}, false
	}
	c, ok := a.cached.Last(HashOf(raw))
	if !ok || c.Kind != kind || c.Check(a.now()) != nil {
		return Credential{}, false
	}
	return c, true
}
