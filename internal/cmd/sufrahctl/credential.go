package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/credential"
)

type tokenCommand struct {
	Issue  issueToken       `cmd:"" help:"Issue a token for some restaurants or for all. The token's value is shown only once."`
	List   listTokens       `cmd:"" help:"List tokens, never their values."`
	Rotate rotateCredential `cmd:"" help:"Issue a new credential in place of an old one, which stays valid for --overlap."`
	Revoke revokeCredential `cmd:"" help:"Revoke a token: functions refuse it within a minute."`
}

type keyCommand struct {
	Issue  issueKey         `cmd:"" help:"Issue an administrator's API key. The key's value is shown only once."`
	List   listKeys         `cmd:"" help:"List API keys, never their values."`
	Rotate rotateCredential `cmd:"" help:"Issue a new credential in place of an old one, which stays valid for --overlap."`
	Revoke revokeCredential `cmd:"" help:"Revoke an API key: functions refuse it within a minute."`
}

// termFlags are the flags for a credential's owner and lifetime.
type termFlags struct {
	Label   string        `help:"Owner and purpose."`
	Expires time.Duration `help:"Lifetime, such as 2160h for 90 days. Default: until revoked."`
}

func (f termFlags) grant(s *session, g credential.Grant) (credential.Grant, error) {
	if f.Expires < 0 {
		return g, fmt.Errorf("--expires must not be negative: %s", f.Expires)
	}
	g.Label = f.Label
	if f.Expires > 0 {
		g.ExpiresAt = s.now().Add(f.Expires)
	}
	return g, nil
}

type issueToken struct {
	Restaurant []string  `help:"Id of a restaurant that the token covers; may be repeated." xor:"scope"`
	All        bool      `help:"The token covers every restaurant: for the dashboard's own server." xor:"scope"`
	Terms      termFlags `embed:""`
}

func (c *issueToken) Run(s *session) error {
	if len(c.Restaurant) == 0 && !c.All {
		return errors.New("no restaurant is given: give --restaurant, once for each restaurant, or --all")
	}
	for _, id := range c.Restaurant {
		if _, _, err := s.find(id); err != nil {
			return err
		}
	}
	g, err := c.Terms.grant(s, credential.Grant{Kind: credential.PAT, Restaurants: c.Restaurant, All: c.All})
	if err != nil {
		return err
	}
	return s.issued(s.credentials.Issue(s.ctx, g))
}

type issueKey struct {
	Terms termFlags `embed:""`
}

func (c *issueKey) Run(s *session) error {
	g, err := c.Terms.grant(s, credential.Grant{Kind: credential.APIKey})
	if err != nil {
		return err
	}
	return s.issued(s.credentials.Issue(s.ctx, g))
}

// shownCredential is a credential in JSON. It has Value only when it is issued.
type shownCredential struct {
	ID          string   `json:"id"`
	Value       string   `json:"value,omitempty"`
	Kind        string   `json:"kind"`
	Restaurants []string `json:"restaurants"`
	All         bool     `json:"allRestaurants"`
	Label       string   `json:"label"`
	State       string   `json:"state"`
	CreatedAt   *string  `json:"createdAt"`
	ExpiresAt   *string  `json:"expiresAt"`
	RevokedAt   *string  `json:"revokedAt"`
}

func (s *session) shownCredential(c credential.Credential) shownCredential {
	state := "good"
	switch err := c.Check(s.now()); {
	case errors.Is(err, credential.ErrRevoked):
		state = "revoked"
	case errors.Is(err, credential.ErrExpired):
		state = "expired"
	}
	return shownCredential{
		ID: c.ID, Kind: string(c.Kind), Restaurants: append([]string{}, c.Restaurants...), All: c.All, Label: c.Label, State: state,
		CreatedAt: jsonTime(c.CreatedAt), ExpiresAt: jsonTime(c.ExpiresAt), RevokedAt: jsonTime(c.RevokedAt),
	}
}

// issued shows a raw value, which exists nowhere else from now on. It does so even if err came after the credential was
// issued.
func (s *session) issued(raw string, c credential.Credential, err error) error {
	if raw == "" {
		return err
	}
	result := s.shownCredential(c)
	result.Value = raw
	printErr := s.out.result(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s\n\nCopy the value now: it is not stored and can't be shown again.\nId: %s. Expires: %s.\n",
			raw, c.ID, date(c.ExpiresAt, "never"))
	})
	if err != nil {
		return err
	}
	return printErr
}

type listTokens struct{}

func (*listTokens) Run(s *session) error { return s.list(credential.PAT) }

type listKeys struct{}

func (*listKeys) Run(s *session) error { return s.list(credential.APIKey) }

func (s *session) list(kind credential.Kind) error {
	all, err := s.credentials.List(s.ctx, kind)
	if err != nil {
		return err
	}
	results := make([]shownCredential, len(all))
	rows := make([][]string, len(all))
	for i, c := range all {
		results[i] = s.shownCredential(c)
		scope := strings.Join(c.Restaurants, ",")
		if c.All || kind == credential.APIKey {
			scope = "all"
		}
		rows[i] = []string{c.ID, results[i].State, scope, c.Label, date(c.CreatedAt, ""), date(c.ExpiresAt, "never")}
	}
	return s.out.result(results, func(w io.Writer) {
		table(w, []string{"ID", "STATE", "RESTAURANTS", "LABEL", "CREATED", "EXPIRES"}, rows)
	})
}

type rotateCredential struct {
	ID      string        `arg:"" help:"Id of the credential, as shown by list."`
	Overlap time.Duration `help:"Time for which the old credential stays valid." default:"24h"`
}

func (c *rotateCredential) Run(s *session) error {
	if c.Overlap < 0 {
		return fmt.Errorf("--overlap must not be negative: %s", c.Overlap)
	}
	return s.issued(s.credentials.Rotate(s.ctx, c.ID, c.Overlap))
}

type revokeCredential struct {
	ID string `arg:"" help:"Id of the credential, as shown by list."`
}

func (c *revokeCredential) Run(s *session) error {
	if err := s.credentials.Revoke(s.ctx, c.ID); err != nil {
		return err
	}
	return s.out.result(map[string]string{"id": c.ID, "state": "revoked"}, func(w io.Writer) {
		fmt.Fprintf(w, "%s is revoked: every function refuses it within %s.\n", c.ID, credential.MaxCacheAge)
	})
}
