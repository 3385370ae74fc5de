package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/health"
	"github.com/sufrah/usage-bootstrap/internal/metrics"
	"github.com/sufrah/usage-bootstrap/internal/sufrah"
)

var (
	errNoToken = errors.New("the secret has no token for the account in TWILIO_ACCOUNT_SID")
	errNoKey   = errors.New("the key can't be sent in a header of a request")
)

// Checks returns the checks for the two functions that talk to customers: of the cache, and of both secrets, which are read
// again and not taken from an instance's memory. done closes the checks' connections.
func Checks(
	cache config.Cache, account config.Twilio, api config.Sufrah, aws config.AWS, now func() time.Time,
) (checks []health.Check, done func(), err error) {
	silent := slog.New(slog.DiscardHandler) // the report has the failures
	server, err := Cache(cache, aws, now, metrics.New(io.Discard, "", now))
	if err != nil {
		return nil, nil, err
	}
	return []health.Check{
		{Name: "cache", Run: func(ctx context.Context) error {
			_, _, err := server.Get(ctx, "sufrah:v1:{health}:check")
			return err
		}},
		{Name: "secret of Twilio's tokens", Run: func(ctx context.Context) error {
			token, err := TwilioTokens(account, aws, now, silent).AuthToken(ctx, "")
			if err == nil && token == "" {
				return errNoToken
			}
			return err
		}},
		{Name: "secret of Sufrah's key", Run: func(ctx context.Context) error {
			key, err := SufrahKeys(api, aws, now, silent).APIKey(ctx)
			if err != nil {
				return err
			}
			if _, err := sufrah.New(sufrah.Config{BaseURL: api.APIBase, APIKey: key}); err != nil {
				return fmt.Errorf("%w: %w", errNoKey, err)
			}
			return nil
		}},
	}, server.Close, nil
}
