// Package backend builds the clients that several functions need, from the same settings in each.
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

// StaleFor is how much longer than fresh a menu is kept, for when Sufrah doesn't answer: yesterday's is better than none.
const StaleFor = 24 * time.Hour

const (
	// jitter is the part of a menu's time to live by which menus that were fetched together don't expire together.
	jitter = 0.1
	// hold is about how long a first failure of Sufrah is shared.
	hold = time.Second
)

// RetryAfter returns for how long Sufrah asked to be left alone.
func RetryAfter(err error) time.Duration {
	if failure, ok := errors.AsType[*sufrah.Error](err); ok {
		return failure.RetryAfter
	}
	return 0
}

// CacheServer is a client of the cache: of a Valkey server, or of a table.
type CacheServer interface {
	cache.Server
	cache.TemplateServer
	cache.Circuits
	ratelimit.Counters
	ratelimit.Starts
	Close()
}

// Cache returns the client of the cache, which has metrics written of its failures. Nothing is dialed yet.
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
			// The endpoints of serverless caches are below a name of their own.
			Serverless: strings.Contains(settings.Endpoint, ".serverless."),
			Now:        time.Now, // AWS's, not a local stack's
		}.Token
	}
	client, err := valkey.New(c)
	if err != nil {
		return nil, fmt.Errorf("configuring the cache: %w", err)
	}
	return client, nil
}

// CacheOptions returns how menus are kept in the cache.
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

// SufrahKeys returns the key of the Sufrah API. It is read when it is asked for.
func SufrahKeys(settings config.Sufrah, account config.AWS, now func() time.Time, log *slog.Logger) sufrah.Keys {
	if settings.SecretARN == "" {
		return secret.StaticKey(settings.APIKey)
	}
	return secret.NewSufrahKey(manager(account).Secret(settings.SecretARN), now, log)
}

// manager returns where deployed functions have their secrets.
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

// Tokens are the auth tokens of Twilio accounts, as both webhooks and senders need them.
type Tokens interface {
	AuthToken(ctx context.Context, accountSID string) (string, error)
	NewAuthToken(ctx context.Context, accountSID string) (string, error)
}

// TwilioTokens returns the auth tokens of Twilio accounts. They are read when the first is asked for.
func TwilioTokens(settings config.Twilio, account config.AWS, now func() time.Time, log *slog.Logger) Tokens {
	if settings.SecretARN == "" {
		return secret.StaticTokens{AccountSID: settings.AccountSID, Token: settings.AuthToken}
	}
	return secret.NewTwilioTokens(manager(account).Secret(settings.SecretARN), settings.AccountSID, now, log)
}
