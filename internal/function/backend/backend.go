// Package backend builds the clients that several functions need, in each from the same settings.
package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/cachetable"
	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/metrics"
	"github.com/sufrah/usage-bootstrap/internal/ratelimit"
	"github.com/sufrah/usage-bootstrap/internal/secret"
	"github.com/sufrah/usage-bootstrap/internal/sufrah"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

// StaleFor is how long a menu is kept after it is no longer fresh. If Sufrah doesn't answer, yesterday's menu is better than
// none.
const StaleFor = 24 * time.Hour

const (
	// jitter is the random part of a menu's time to live, so that menus fetched together don't expire together.
	jitter = 0.1
	// hold is roughly how long a first failure of Sufrah is shared.
	hold = time.Second
)

// RetryAfter returns the pause that Sufrah asked for in an error, 0 if none.
func RetryAfter(err error) time.Duration {
	if failure, ok := errors.AsType[*sufrah.Error](err); ok {
		return failure.RetryAfter
	}
	return 0
}

// CacheServer is a client of the cache, on a Valkey server or in a table.
type CacheServer interface {
	cache.Server
	cache.TemplateServer
	cache.Circuits
	ratelimit.Counters
	ratelimit.Starts
	Close()
}

// Cache returns the client of the cache. A metric counts its failures. It doesn't dial yet.
func Cache(settings config.Cache, account config.AWS, now func() time.Time, meter *metrics.Writer) (CacheServer, error) {
	failed := func() { meter.Write(metrics.Count(metrics.CacheCommandFailed, 1)) }
	if settings.Table != "" {
		return cachetable.New(function.AWS(account, account.DynamoDB), cachetable.Config{
			Table: settings.Table, Now: now, Random: rand.Uint64, Failed: failed,
		}), nil
	}
	c := valkey.Config{Address: settings.Endpoint, ClusterMode: settings.Cluster, Username: settings.User, Failed: failed}
	if settings.TLS {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if settings.User != "" {
		c.Token = valkey.IAM{
			Credentials: function.AWS(account, "").Credentials, Region: account.Region, CacheName: settings.Name, UserID: settings.User,
			// The endpoint of a serverless cache contains ".serverless.".
			Serverless: strings.Contains(settings.Endpoint, ".serverless."),
			Now:        time.Now, // AWS's time, not a local stack's
		}.Token
	}
	client, err := valkey.New(c)
	if err != nil {
		return nil, fmt.Errorf("configuring the cache: %w", err)
	}
	return client, nil
}

// CacheOptions returns the options with which menus are cached.
func CacheOptions(
	server CacheServer, settings config.Sufrah, now func() time.Time, log *slog.Logger, meter *metrics.Writer,
) cache.Options {
	return cache.Options{
		Server: server, TTL: settings.CacheTTL, StaleFor: StaleFor, Jitter: jitter, Hold: hold, RetryAfter: RetryAfter,
		Breaker: &cache.Breaker{
			Key: "sufrah:v1:{calls}:breaker", Circuits: server, Random: rand.Uint64, Log: log,
			Opened: func() { meter.Write(metrics.Count(metrics.SufrahStopped, 1)) },
		},
		Now: now, Random: rand.Uint64, Log: log, Observer: cache.Observer{Loaded: meter.CacheLoaded},
	}
}

// Sufrah returns the client of the Sufrah API. Its key is read with the first call.
func Sufrah(settings config.Sufrah, account config.AWS, now func() time.Time, log *slog.Logger) (*sufrah.KeyedClient, error) {
	client, err := sufrah.NewKeyed(sufrah.Config{BaseURL: settings.APIBase}, SufrahKeys(settings, account, now, log))
	if err != nil {
		return nil, fmt.Errorf("configuring the Sufrah API: %w", err)
	}
	return client, nil
}

// SufrahKeys returns the key of the Sufrah API. It is read only when it is needed.
func SufrahKeys(settings config.Sufrah, account config.AWS, now func() time.Time, log *slog.Logger) sufrah.Keys {
	if settings.SecretARN == "" {
		return secret.StaticKey(settings.APIKey)
	}
	return secret.NewSufrahKey(manager(account).Secret(settings.SecretARN), now, log)
}

// manager returns the secrets of a deployed function.
func manager(account config.AWS) *secret.Manager {
	return secret.NewManager(secretsmanager.NewFromConfig(function.AWS(account, account.SecretsManager)))
}

// Contents returns the lists of Twilio accounts.
func Contents(settings config.Twilio, tokens Tokens) (*twilio.Contents, error) {
	contents, err := twilio.NewContents(twilio.Config{BaseURL: settings.ContentAPIBase}, tokens, settings.AccountSID)
	if err != nil {
		return nil, fmt.Errorf("configuring Twilio's Content API: %w", err)
	}
	return contents, nil
}

// Tokens has the auth tokens of Twilio accounts, for webhooks and senders.
type Tokens interface {
	AuthToken(ctx context.Context, accountSID string) (string, error)
	NewAuthToken(ctx context.Context, accountSID string) (string, error)
}

// TwilioTokens returns the auth tokens of Twilio accounts. They are read when the first one is needed.
func TwilioTokens(settings config.Twilio, account config.AWS, now func() time.Time, log *slog.Logger) Tokens {
	if settings.SecretARN == "" {
		return secret.StaticTokens{AccountSID: settings.AccountSID, Token: settings.AuthToken}
	}
	return secret.NewTwilioTokens(manager(account).Secret(settings.SecretARN), settings.AccountSID, now, log)
}
