// Package credential decides which restaurants a caller may read.
//
// There are two kinds. A personal access token (PAT) reads the restaurants that it is bound to, or all of them if it belongs
// to the dashboard's own server. An API key reads as an administrator. Both are opaque random values, shown once when they
// are issued. Only their SHA-256 is stored, so that nobody who reads the store can use them. SHA-256 without salt or
// stretching is enough, because nobody can guess 256 random bits.
package credential

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// The reasons for refusing a credential. Each is also ErrRefused, and outside callers are told only that.
var (
	ErrRefused = errors.New("credential refused")
	ErrUnknown = fmt.Errorf("%w: unknown", ErrRefused)
	ErrExpired = fmt.Errorf("%w: expired", ErrRefused)
	ErrRevoked = fmt.Errorf("%w: revoked", ErrRefused)

	errOtherKind = fmt.Errorf("%w as this kind of credential", ErrUnknown)
)

// RefusedError is the refusal of a credential that we issued, with its id.
type RefusedError struct {
	ID  string // the credential's id
	Err error  // the reason, an ErrRefused
}

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// Faults of managing credentials.
var (
	// ErrNotFound says that no credential has the id.
	ErrNotFound = errors.New("credential not found")
	// ErrExists says that the store holds a credential with the same hash.
	ErrExists = errors.New("credential already exists")
)

// Kind tells tokens from keys.
type Kind string

// The kinds of credentials.
const (
	PAT    Kind = "pat"     // bound to restaurants, or to all of them
	APIKey Kind = "api_key" // the administrator's
)

// prefixes let people and secret scanners recognise a leaked value.
var prefixes = map[Kind]string{PAT: "sufrah_pat_", APIKey: "sufrah_key_"}

const (
	secretBytes    = 32
	idBytes        = 9
	maxRawLength   = 256
	maxLabelLength = 100
	maxRestaurants = 500 // keeps a token's item far below DynamoDB's 400 KB
)

// Hash is stored in place of a raw value.
type Hash [sha256.Size]byte

// HashOf returns the hash of a raw value.
func HashOf(raw string) Hash { return sha256.Sum256([]byte(raw)) }

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads the output of String.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("credential: %d characters are not a SHA-256 in hexadecimal", len(s))
	}
	return Hash(b), nil
}

// Credential is the stored record of an issued value. It doesn't contain the value.
type Credential struct {
	ID          string // public: shown in lists and logs, names the credential when it is revoked
	Hash        Hash
	Kind        Kind
	Restaurants []string // of a PAT; empty if All is set
	All         bool     // a PAT for every restaurant
	Label       string   // for people: owner and purpose
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: never
	RevokedAt   time.Time // zero: it wasn't revoked
}

// Covers reports whether the credential may read the restaurant.
func (c Credential) Covers(restaurantID string) bool {
	return c.Kind == APIKey || c.All || c.Names(restaurantID)
}

// Names reports whether the token was issued for this restaurant in particular.
func (c Credential) Names(restaurantID string) bool {
	return slices.Contains(c.Restaurants, restaurantID)
}

// SameAccess reports whether two credentials may read the same restaurants.
func (c Credential) SameAccess(other Credential) bool {
	return c.Kind == other.Kind && c.All == other.All && slices.Equal(c.Restaurants, other.Restaurants)
}

// Check returns ErrRevoked or ErrExpired if the credential is no longer valid at now, otherwise nil.
func (c Credential) Check(now time.Time) error {
	switch {
	case !c.RevokedAt.IsZero() && !now.Before(c.RevokedAt):
		return ErrRevoked
	case !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt):
		return ErrExpired
	}
	return nil
}

// Grant describes a credential to be issued.
type Grant struct {
	Kind        Kind
	Restaurants []string // of a PAT, unless All is set
	All         bool     // for a PAT: all restaurants
	Label       string
	ExpiresAt   time.Time // zero: never
}

// Validate returns every fault of g, joined, or nil.
func (g Grant) Validate(now time.Time) error {
	var faults []error
	switch g.Kind {
	case PAT:
		if g.All == (len(g.Restaurants) > 0) {
			faults = append(faults, errors.New("a token must name its restaurants or cover all restaurants, not both"))
		}
		if len(g.Restaurants) > maxRestaurants {
			faults = append(faults, fmt.Errorf("%d restaurants are more than the %d that a token can name", len(g.Restaurants), maxRestaurants))
		}
	case APIKey:
		if g.All || len(g.Restaurants) > 0 {
			faults = append(faults, errors.New("an API key is for administrators and can't name restaurants"))
		}
	default:
		faults = append(faults, fmt.Errorf("unknown kind %q", g.Kind))
	}
	for _, id := range g.Restaurants {
		if !restaurant.ValidID(id) {
			faults = append(faults, fmt.Errorf("%q is not a valid restaurant id", id))
		}
	}
	if !g.ExpiresAt.IsZero() && !g.ExpiresAt.After(now) {
		faults = append(faults, errors.New("the expiry is in the past"))
	}
	if !restaurant.Printable(g.Label, maxLabelLength) {
		faults = append(faults, fmt.Errorf("label: want at most %d printable characters", maxLabelLength))
	}
	return errors.Join(faults...)
}

// Issue draws a new raw value from random, and returns it with the credential to store. Nothing can show the raw value again.
// It fails if the grant is invalid or random fails.
func Issue(random io.Reader, now time.Time, g Grant) (raw string, c Credential, err error) {
	if err := g.Validate(now); err != nil {
		return "", Credential{}, err
	}
	buffer := make([]byte, secretBytes+idBytes)
	if _, err := io.ReadFull(random, buffer); err != nil {
		return "", Credential{}, fmt.Errorf("generating a credential: %w", err)
	}
	raw = prefixes[g.Kind] + base64.RawURLEncoding.EncodeToString(buffer[:secretBytes])
	return raw, g.Credential(raw, "cr_"+base64.RawURLEncoding.EncodeToString(buffer[secretBytes:]), now), nil
}

// Credential returns the record to store for a raw value that is issued for g at now. id is its public id. Issue calls it
// with random values, demo data with values that a person can type.
func (g Grant) Credential(raw, id string, now time.Time) Credential {
	return Credential{
		ID: id, Hash: HashOf(raw), Kind: g.Kind, Restaurants: slices.Clone(g.Restaurants), All: g.All, Label: g.Label,
		CreatedAt: now, ExpiresAt: g.ExpiresAt,
	}
}
