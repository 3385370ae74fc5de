package sufrah

import (
	"context"
	"fmt"
	"sync"

	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/outbound"
)

// Keys returns the API key, which may change between calls.
type Keys interface {
	APIKey(ctx context.Context) (string, error)
}

// KeyedClient is a Client that looks its key up at each call. It is safe for concurrent use.
type KeyedClient struct {
	config Config
	keys   Keys

	mu      sync.Mutex
	key     string
	current *Client // with the latest key; nil before the first call
}

// NewKeyed returns a client that takes its key from keys, and everything else from config. It fails if New does.
func NewKeyed(config Config, keys Keys) (*KeyedClient, error) {
	config.HTTPClient = outbound.NewClient(config.HTTPClient, outbound.SameOrigin) // shared by the clients of all keys
	config.APIKey = "none-yet"
	if _, err := New(config); err != nil {
		return nil, err
	}
	return &KeyedClient{config: config, keys: keys}, nil
}

// Categories is Client.Categories. If the key can't be looked up or is malformed, the error is retryable.
func (k *KeyedClient) Categories(ctx context.Context, merchantID string) ([]menu.Category, error) {
	c, err := k.client(ctx)
	if err != nil {
		return nil, &Error{Op: "categories", MerchantID: merchantID, Err: err}
	}
	return c.Categories(ctx, merchantID)
}

// Branches is Client.Branches. If the key can't be looked up or is malformed, the error is retryable.
func (k *KeyedClient) Branches(ctx context.Context, merchantID string) ([]menu.Branch, error) {
	c, err := k.client(ctx)
	if err != nil {
		return nil, &Error{Op: "branches", MerchantID: merchantID, Err: err}
	}
	return c.Branches(ctx, merchantID)
}

// Products is Client.Products. If the key can't be looked up or is malformed, the error is retryable.
func (k *KeyedClient) Products(ctx context.Context, merchantID, categoryID, branchID string) ([]menu.Product, error) {
	c, err := k.client(ctx)
	if err != nil {
		return nil, &Error{Op: opProducts, MerchantID: merchantID, Err: err}
	}
	return c.Products(ctx, merchantID, categoryID, branchID)
}

// client returns a client with the current key.
func (k *KeyedClient) client(ctx context.Context) (*Client, error) {
	key, err := k.keys.APIKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking up the API key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == nil || k.key != key {
		config := k.config
		config.APIKey = key
		if k.current, err = New(config); err != nil {
			return nil, err
		}
		k.key = key
	}
	return k.current, nil
}
