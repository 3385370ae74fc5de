package usagehttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/task"
)

// Authenticator verifies a raw credential.
type Authenticator interface {
	// Authenticate returns the credential. It fails with credential.ErrRefused (as a *credential.RefusedError where the
	// credential was issued) or outage.ErrUnavailable.
	Authenticate(ctx context.Context, kind credential.Kind, raw string) (credential.Credential, error)
	// Seen returns the credential as this instance has seen it good before, without asking anybody: it may have ended
	// since. A value that nobody issued was never seen.
	Seen(kind credential.Kind, raw string) (credential.Credential, bool)
}

// presented is a credential as a caller presents it: not yet verified.
type presented struct {
	kind credential.Kind
	raw  string
}

// presentedBy returns the credential in the headers. API Gateway joins a repeated header with commas. presentedBy joins
// repeated headers likewise, so that they have the same meaning everywhere: a value that no credential has.
func presentedBy(header http.Header) (presented, error) {
	authorization := strings.TrimSpace(strings.Join(header.Values("Authorization"), ","))
	apiKey := strings.TrimSpace(strings.Join(header.Values("X-Api-Key"), ","))
	switch {
	case authorization != "" && apiKey != "":
		return presented{}, errTwoCredentials
	case apiKey != "":
		return presented{credential.APIKey, apiKey}, nil
	case authorization == "":
		return presented{}, errNoCredential
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return presented{}, errNoCredential
	}
	return presented{credential.PAT, strings.TrimSpace(token)}, nil
}

// verify returns the presented credential, and adds its name to the log line, also if it is known but refused.
func verify(c *httpedge.Call, a Authenticator, p presented) (credential.Credential, error) {
	holder, err := a.Authenticate(c.Context(), p.kind, p.raw)
	id := holder.ID
	if refused, ok := errors.AsType[*credential.RefusedError](err); ok {
		id = refused.ID
	}
	if id != "" {
		c.Note(slog.String("credentialId", id))
	}
	return holder, err
}

// presentedKey returns the API key in the headers. It fails with errAdministratorsOnly for a good token, and as verify does
// for any other.
func presentedKey(c *httpedge.Call, a Authenticator) (presented, error) {
	p, err := presentedBy(c.Header)
	if err == nil && p.kind != credential.APIKey {
		if _, err = verify(c, a, p); err == nil {
			err = errAdministratorsOnly
		}
	}
	return p, err
}

// whileVerifying returns the result of read for the holder of a credential. For a credential that this instance has recently
// found valid, it reads and verifies at the same time, so that the two cost one round trip. For any other it verifies first,
// so that a guess costs nothing but its own verification.
func whileVerifying[T any](
	c *httpedge.Call, a Authenticator, p presented, read func(context.Context, credential.Credential) (T, error),
) (T, error) {
	var nothing T
	seen, ok := a.Seen(p.kind, p.raw)
	if !ok {
		holder, err := verify(c, a, p)
		if err != nil {
			return nothing, err
		}
		return read(c.Context(), holder)
	}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	reading := task.Start(func() (T, error) { return read(ctx, seen) })
	holder, err := verify(c, a, p)
	if err != nil {
		cancel()
		// An instance is frozen once it has answered: nothing must be left half-done.
		if _, readErr := reading.Wait(); task.IsPanic(readErr) {
			err = readErr
		}
		return nothing, err
	}
	if value, err := reading.Wait(); holder.SameAccess(seen) {
		return value, err
	}
	return read(c.Context(), holder)
}

// noteRestaurant adds the requested restaurant to the log line, unless the text can't be a restaurant's id: callers may
// not write arbitrary text into the log.
func noteRestaurant(c *httpedge.Call, id string) {
	if restaurant.ValidID(id) {
		c.Note(slog.String("restaurantId", id))
	}
}
