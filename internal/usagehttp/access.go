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
	// Authenticate returns the credential. It fails with credential.ErrRefused (a *credential.RefusedError if we issued the
	// credential) or with outage.ErrUnavailable.
	Authenticate(ctx context.Context, kind credential.Kind, raw string) (credential.Credential, error)
	// Seen returns the credential if this instance has found it valid before. It reads nothing, so the credential may have
	// expired or been revoked since.
	Seen(kind credential.Kind, raw string) (credential.Credential, bool)
}

// presented is a credential in a request, not yet verified.
type presented struct {
	kind credential.Kind
	raw  string
}

// presentedBy returns the credential in the headers. API Gateway joins repeated headers with commas. presentedBy does the
// same, so that also without API Gateway two credentials become a single, invalid value.
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

// verify returns the verified credential. It adds the id of a known credential to the log line, even if the credential is
// refused.
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

// presentedKey returns the API key in the headers, not yet verified. If the headers have a token instead, presentedKey
// verifies it and fails: with errAdministratorsOnly if the token is valid, otherwise with verify's error.
func presentedKey(c *httpedge.Call, a Authenticator) (presented, error) {
	p, err := presentedBy(c.Header)
	if err == nil && p.kind != credential.APIKey {
		if _, err = verify(c, a, p); err == nil {
			err = errAdministratorsOnly
		}
	}
	return p, err
}

// whileVerifying returns the result of read for the holder of a credential. If this instance has recently found the
// credential valid, it reads and verifies at the same time, in one round trip. Otherwise it verifies first, so that a guessed
// credential causes no other reads.
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
		// Lambda freezes an instance once it has answered, so the reading must end before that.
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

// noteRestaurant adds the requested restaurant to the log line if the text can be a restaurant's id. Callers must not be able
// to write arbitrary text into the log.
func noteRestaurant(c *httpedge.Call, id string) {
	if restaurant.ValidID(id) {
		c.Note(slog.String("restaurantId", id))
	}
}
