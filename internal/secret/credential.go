package secret

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"
)

// TwilioTokens knows the auth tokens of Twilio accounts from a secret. It is safe for concurrent use.
type TwilioTokens struct {
	masterSID string
	tokens    *cached[map[string]string]
}

// NewTwilioTokens returns the tokens in a secret of the form {"AC…": "token", …}, with a token for each account; masterSID is
// Sufrah's own.
func NewTwilioTokens(source Source, masterSID string, now func() time.Time, log *slog.Logger) *TwilioTokens {
	return &TwilioTokens{masterSID: masterSID, tokens: newCached(source, parseTokens, now, log)}
}

// AuthToken returns the token of an account, of the master's if accountSID is empty. It is "" if the secret doesn't
// have the account. It fails with outage.ErrUnavailable if the secret can't be read now.
func (t *TwilioTokens) AuthToken(ctx context.Context, accountSID string) (string, error) {
	return t.token(ctx, accountSID, t.tokens.get)
}

// NewAuthToken is AuthToken for callers that found the token to be wrong: it reads the secret again, unless the last read was
// within doubtAfter.
func (t *TwilioTokens) NewAuthToken(ctx context.Context, accountSID string) (string, error) {
	return t.token(ctx, accountSID, t.tokens.getAnew)
}

func (t *TwilioTokens) token(
	ctx context.Context, accountSID string, get func(context.Context) (map[string]string, error),
) (string, error) {
	tokens, err := get(ctx)
	if err != nil {
		return "", err
	}
	if accountSID == "" {
		accountSID = t.masterSID
	}
	return tokens[accountSID], nil
}

func parseTokens(value string) (map[string]string, error) {
	var tokens map[string]string
	if json.Unmarshal([]byte(value), &tokens) != nil || tokens == nil {
		return nil, errors.New(`the secret of Twilio's tokens is not of the form {"AC…": "token"}`)
	}
	return tokens, nil
}

// SufrahKey knows the key of the Sufrah API from a secret. It is safe for concurrent use.
type SufrahKey struct {
	key *cached[string]
}

// NewSufrahKey returns the key in a secret of the form {"apiKey": "…"}.
func NewSufrahKey(source Source, now func() time.Time, log *slog.Logger) *SufrahKey {
	return &SufrahKey{newCached(source, parseKey, now, log)}
}

// APIKey returns the key. It fails with outage.ErrUnavailable if the secret can't be read now.
func (k *SufrahKey) APIKey(ctx context.Context) (string, error) { return k.key.get(ctx) }

func parseKey(value string) (string, error) {
	var secret struct {
		APIKey string `json:"apiKey"`
	}
	if json.Unmarshal([]byte(value), &secret) != nil || secret.APIKey == "" {
		return "", errors.New(`the secret of Sufrah's key is not of the form {"apiKey": "…"}`)
	}
	return secret.APIKey, nil
}

// StaticTokens knows the token of one account, from the environment.
type StaticTokens struct {
	AccountSID string
	Token      string
}

// AuthToken returns the token of the account, also if accountSID is empty, and "" for any other account.
func (s StaticTokens) AuthToken(_ context.Context, accountSID string) (string, error) {
	if accountSID != "" && accountSID != s.AccountSID {
		return "", nil
	}
	return s.Token, nil
}

// NewAuthToken is AuthToken: the environment doesn't change.
func (s StaticTokens) NewAuthToken(ctx context.Context, accountSID string) (string, error) {
	return s.AuthToken(ctx, accountSID)
}

// StaticKey is a key of the Sufrah API from the environment.
type StaticKey string

// APIKey returns the key.
func (k StaticKey) APIKey(context.Context) (string, error) { return string(k), nil }
