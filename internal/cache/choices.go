package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"
)

// choiceFor is how long a choice is remembered: as long as a session lasts without another message.
const choiceFor = 24 * time.Hour

// Choices remembers the branch that a customer chose at a restaurant. The server has only a hash of the customer's id.
type Choices struct {
	server Entries
	log    *slog.Logger
}

// NewChoices returns choices that are kept on the server.
func NewChoices(server Entries, log *slog.Logger) *Choices { return &Choices{server, log} }

func choiceKey(restaurantID, customer string) string {
	sum := sha256.Sum256([]byte(restaurantID + "\n" + customer))
	return Key(restaurantID, "branch:"+hex.EncodeToString(sum[:16]))
}

// Choose remembers a choice. If the server fails, the choice is lost.
func (c *Choices) Choose(ctx context.Context, restaurantID, customer, branch string) {
	if err := c.server.Set(ctx, choiceKey(restaurantID, customer), []byte(branch), choiceFor); err != nil {
		c.log.WarnContext(ctx, "cache command failed: the call goes on without the cache", "operation", "write", "key", "branch", "error", err)
	}
}

// Chosen returns the latest choice, "" if none is remembered.
func (c *Choices) Chosen(ctx context.Context, restaurantID, customer string) string {
	branch, _, err := c.server.Get(ctx, choiceKey(restaurantID, customer))
	if err != nil {
		c.log.WarnContext(ctx, "cache command failed: the call goes on without the cache", "operation", "read", "key", "branch", "error", err)
	}
	return string(branch)
}
