package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/credential"
)

func credentialKey(hash credential.Hash) item { return item{"tokenHash": text(hash.String())} }

func credentialItem(c credential.Credential) item {
	it := credentialKey(c.Hash)
	it["id"] = text(c.ID)
	it["kind"] = text(string(c.Kind))
	it["createdAt"] = instant(c.CreatedAt)
	it["allRestaurants"] = flag(c.All)
	if len(c.Restaurants) > 0 {
		it["restaurants"] = &types.AttributeValueMemberSS{Value: c.Restaurants}
	}
	setText(it, "label", c.Label)
	setInstant(it, "expiresAt", c.ExpiresAt)
	setInstant(it, "revokedAt", c.RevokedAt)
	return it
}

func readCredential(r *reader) (credential.Credential, error) {
	hash, err := credential.ParseHash(r.text("tokenHash"))
	restaurants := slices.Clone(r.texts("restaurants"))
	slices.Sort(restaurants)
	return credential.Credential{
		ID:          r.text("id"),
		Hash:        hash,
		Kind:        credential.Kind(r.text("kind")),
		Restaurants: restaurants,
		All:         r.flag("allRestaurants"),
		Label:       r.text("label"),
		CreatedAt:   r.instant("createdAt"),
		ExpiresAt:   r.instant("expiresAt"),
		RevokedAt:   r.instant("revokedAt"),
	}, errors.Join(err, r.err)
}

// FindCredential implements credential.Finder in one round trip.
func (s *Store) FindCredential(ctx context.Context, hash credential.Hash) (credential.Credential, error) {
	it, err := s.get(ctx, s.tables.AccessTokens, credentialKey(hash))
	if err != nil {
		return credential.Credential{}, err
	}
	if it == nil {
		return credential.Credential{}, credential.ErrUnknown
	}
	return readCredential(&reader{item: it})
}

// AddCredential stores an issued credential. It fails with credential.ErrExists where one has its hash.
func (s *Store) AddCredential(ctx context.Context, c credential.Credential) error {
	err := s.put(ctx, s.tables.AccessTokens, credentialItem(c), expression{
		condition: "attribute_not_exists(#hash)",
		names:     map[string]string{"#hash": "tokenHash"},
	})
	if failedCondition(err, 0) {
		err = credential.ErrExists
	}
	if err != nil {
		return fmt.Errorf("storing credential %s: %w", c.ID, err)
	}
	return nil
}

// ExpireCredential makes a credential expire at the time, unless it does so earlier already. It fails with
// credential.ErrNotFound. Finding a credential by its id reads the whole table: administrators do it, requests don't.
func (s *Store) ExpireCredential(ctx context.Context, id string, at time.Time) error {
	return s.changeCredential(ctx, id, expression{
		set:       "#expires = :at",
		condition: "attribute_not_exists(#expires) OR #expires > :at",
		names:     map[string]string{"#expires": "expiresAt"},
		values:    item{":at": instant(at)},
	})
}

// RevokeCredential makes a credential worthless from the time on. It fails with credential.ErrNotFound; revoking it
// again changes nothing.
func (s *Store) RevokeCredential(ctx context.Context, id string, at time.Time) error {
	return s.changeCredential(ctx, id, expression{
		set:       "#revoked = :at",
		condition: "attribute_not_exists(#revoked)",
		names:     map[string]string{"#revoked": "revokedAt"},
		values:    item{":at": instant(at)},
	})
}

func (s *Store) changeCredential(ctx context.Context, id string, change expression) error {
	all, err := s.Credentials(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(c credential.Credential) bool { return c.ID == id })
	if i < 0 {
		return fmt.Errorf("%w: %s", credential.ErrNotFound, id)
	}
	err = s.update(ctx, s.tables.AccessTokens, credentialKey(all[i].Hash), change)
	if err != nil && !failedCondition(err, 0) {
		return fmt.Errorf("changing credential %s: %w", id, err)
	}
	return nil
}

// Credentials returns every credential, newest first and then by id.
func (s *Store) Credentials(ctx context.Context) ([]credential.Credential, error) {
	var all []credential.Credential
	err := s.scan(ctx, s.tables.AccessTokens, func(r *reader) error {
		c, err := readCredential(r)
		all = append(all, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing credentials: %w", err)
	}
	slices.SortFunc(all, func(a, b credential.Credential) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}
