// Package token stores access tokens and API keys, of which it keeps only hashes.
package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
)

// Vault stores credentials. It is safe for concurrent use.
type Vault struct {
	db    *table.DB
	names schema.Tables
}

// New returns a Vault over the tables.
func New(db *table.DB, names schema.Tables) *Vault { return &Vault{db: db, names: names} }

func credentialKey(hash credential.Hash) table.Item {
	return table.Item{"tokenHash": table.Text(hash.String())}
}

func credentialItem(c credential.Credential) table.Item {
	it := credentialKey(c.Hash)
	it["id"] = table.Text(c.ID)
	it["kind"] = table.Text(string(c.Kind))
	it["createdAt"] = table.Instant(c.CreatedAt)
	it["allRestaurants"] = table.Flag(c.All)
	if len(c.Restaurants) > 0 {
		it["restaurants"] = table.TextSet(c.Restaurants...)
	}
	table.SetText(it, "label", c.Label)
	table.SetInstant(it, "expiresAt", c.ExpiresAt)
	table.SetInstant(it, "revokedAt", c.RevokedAt)
	return it
}

func readCredential(r *table.Reader) (credential.Credential, error) {
	hash, err := credential.ParseHash(r.Text("tokenHash"))
	restaurants := slices.Clone(r.Texts("restaurants"))
	slices.Sort(restaurants)
	return credential.Credential{
		ID:          r.Text("id"),
		Hash:        hash,
		Kind:        credential.Kind(r.Text("kind")),
		Restaurants: restaurants,
		All:         r.Flag("allRestaurants"),
		Label:       r.Text("label"),
		CreatedAt:   r.Instant("createdAt"),
		ExpiresAt:   r.Instant("expiresAt"),
		RevokedAt:   r.Instant("revokedAt"),
	}, errors.Join(err, r.Err)
}

// FindCredential implements credential.Finder in one round trip.
func (v *Vault) FindCredential(ctx context.Context, hash credential.Hash) (credential.Credential, error) {
	it, err := v.db.Get(ctx, v.names.AccessTokens, credentialKey(hash))
	if err != nil {
		return credential.Credential{}, err
	}
	if it == nil {
		return credential.Credential{}, credential.ErrUnknown
	}
	return readCredential(&table.Reader{Item: it})
}

// AddCredential stores an issued credential. It fails with credential.ErrExists if a credential with the same hash
// exists.
func (v *Vault) AddCredential(ctx context.Context, c credential.Credential) error {
	err := v.db.Put(ctx, v.names.AccessTokens, credentialItem(c), table.Expression{
		Condition: "attribute_not_exists(#hash)",
		Names:     map[string]string{"#hash": "tokenHash"},
	})
	if table.FailedCondition(err, 0) {
		err = credential.ErrExists
	}
	if err != nil {
		return fmt.Errorf("storing credential %s: %w", c.ID, err)
	}
	return nil
}

// ExpireCredential makes a credential expire at a time, unless it expires earlier already. It fails with
// credential.ErrNotFound. Finding a credential by its id reads the whole table; only administrators do it.
func (v *Vault) ExpireCredential(ctx context.Context, id string, at time.Time) error {
	return v.changeCredential(ctx, id, table.Expression{
		Set:       "#expires = :at",
		Condition: "attribute_not_exists(#expires) OR #expires > :at",
		Names:     map[string]string{"#expires": "expiresAt"},
		Values:    table.Item{":at": table.Instant(at)},
	})
}

// RevokeCredential makes a credential invalid from a time on. Revoking it again changes nothing. It fails with
// credential.ErrNotFound.
func (v *Vault) RevokeCredential(ctx context.Context, id string, at time.Time) error {
	return v.changeCredential(ctx, id, table.Expression{
		Set:       "#revoked = :at",
		Condition: "attribute_not_exists(#revoked)",
		Names:     map[string]string{"#revoked": "revokedAt"},
		Values:    table.Item{":at": table.Instant(at)},
	})
}

func (v *Vault) changeCredential(ctx context.Context, id string, change table.Expression) error {
	all, err := v.Credentials(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(c credential.Credential) bool { return c.ID == id })
	if i < 0 {
		return fmt.Errorf("%w: %s", credential.ErrNotFound, id)
	}
	err = v.db.Update(ctx, v.names.AccessTokens, credentialKey(all[i].Hash), change)
	if err != nil && !table.FailedCondition(err, 0) {
		return fmt.Errorf("changing credential %s: %w", id, err)
	}
	return nil
}

// Credentials returns every credential, newest first and then by id.
func (v *Vault) Credentials(ctx context.Context) ([]credential.Credential, error) {
	var all []credential.Credential
	err := v.db.Scan(ctx, v.names.AccessTokens, func(r *table.Reader) error {
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
