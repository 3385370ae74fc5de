package credential

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Vault stores credentials.
type Vault interface {
	// AddCredential stores a credential. It fails with ErrExists if there is one with the same hash.
	AddCredential(ctx context.Context, c Credential) error
	// ExpireCredential makes a credential expire at a time, unless it expires earlier already. RevokeCredential makes it
	// invalid from a time on; if RevokeCredential is called again, the first time stays. Both fail with ErrNotFound.
	ExpireCredential(ctx context.Context, id string, at time.Time) error
	RevokeCredential(ctx context.Context, id string, at time.Time) error
	// Credentials returns every credential, newest first.
	Credentials(ctx context.Context) ([]Credential, error)
}

// Manager issues, rotates and revokes credentials.
type Manager struct {
	vault  Vault
	random io.Reader
	now    func() time.Time
}

// NewManager returns a Manager that stores credentials in vault. It draws values from random, which must be cryptographically
// secure.
func NewManager(vault Vault, random io.Reader, now func() time.Time) *Manager {
	return &Manager{vault: vault, random: random, now: now}
}

// Issue stores a new credential and returns its raw value, which nothing can show again.
func (m *Manager) Issue(ctx context.Context, g Grant) (raw string, c Credential, err error) {
	raw, c, err = Issue(m.random, m.now(), g)
	if err != nil {
		return "", Credential{}, err
	}
	if err := m.vault.AddCredential(ctx, c); err != nil {
		return "", Credential{}, err
	}
	return raw, c, nil
}

// Rotate issues a successor of the credential with the id. The successor has the same permissions, and the same lifetime
// counted from now. The old credential expires after overlap; until then both are valid. Rotate fails with ErrNotFound, or
// with ErrRefused if the old credential is no longer valid.
func (m *Manager) Rotate(ctx context.Context, id string, overlap time.Duration) (raw string, c Credential, err error) {
	all, err := m.vault.Credentials(ctx)
	if err != nil {
		return "", Credential{}, err
	}
	i := slices.IndexFunc(all, func(c Credential) bool { return c.ID == id })
	if i < 0 {
		return "", Credential{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	old, now := all[i], m.now()
	if err := old.Check(now); err != nil {
		return "", Credential{}, err
	}
	g := Grant{Kind: old.Kind, Restaurants: old.Restaurants, All: old.All, Label: old.Label}
	if !old.ExpiresAt.IsZero() {
		g.ExpiresAt = now.Add(old.ExpiresAt.Sub(old.CreatedAt))
	}
	if raw, c, err = m.Issue(ctx, g); err != nil {
		return "", Credential{}, err
	}
	// The successor stays even if this step fails: two valid credentials are better than none.
	if err := m.vault.ExpireCredential(ctx, id, now.Add(overlap)); err != nil {
		return raw, c, fmt.Errorf("the new credential is issued, but the old one keeps its expiry: %w", err)
	}
	return raw, c, nil
}

// Revoke makes a credential invalid at once; instances that remember it follow within MaxCacheAge. It fails with ErrNotFound.
func (m *Manager) Revoke(ctx context.Context, id string) error {
	return m.vault.RevokeCredential(ctx, id, m.now())
}

// List returns the credentials of a kind, newest first.
func (m *Manager) List(ctx context.Context, kind Kind) ([]Credential, error) {
	all, err := m.vault.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c Credential) bool { return c.Kind != kind }), nil
}
