// Package sufrah reads merchants' categories, branches and products from the Sufrah API.
package sufrah

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/outbound"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// The values of a Config's zero fields.
const (
	DefaultMaxBodyBytes = 4 << 20
	DefaultTimeout      = 5 * time.Second
)

// maxMerchantID bounds the length of a merchant's id.
const maxMerchantID = 128

// keyScheme is the scheme of Sufrah's keys in the Authorization header.
const keyScheme = "ApiToken"

// Config has Sufrah's address and key, and the limits of calls.
type Config struct {
	BaseURL      string        // such as https://api.sufrah.sa/api/v1/external
	APIKey       string        // with or without "ApiToken " in front
	HTTPClient   *http.Client  // nil means outbound.NewTransport; its CheckRedirect is not used
	MaxBodyBytes int64         // of an answer, after decompression; 0 means DefaultMaxBodyBytes
	Timeout      time.Duration // of a call, unless its context ends earlier; 0 means DefaultTimeout
}

// Client calls the Sufrah API. It is safe for concurrent use.
//
// A call fails with an *Error. The client itself doesn't repeat calls: net/http does so if a reused connection is dead, and
// anything else is left to the caller.
type Client struct {
	baseURL       string
	authorization string
	http          *http.Client
	maxBodyBytes  int64
	timeout       time.Duration
}

// New returns a client, or an error that describes the config's fault without repeating the key.
func New(config Config) (*Client, error) {
	baseURL, urlErr := outbound.ParseBaseURL(config.BaseURL)
	authorization, keyErr := authorizationOf(config.APIKey)
	var boundsErr error
	if config.MaxBodyBytes < 0 || config.Timeout < 0 {
		boundsErr = errors.New("a limit is negative")
	}
	if err := errors.Join(urlErr, keyErr, boundsErr); err != nil {
		return nil, err
	}
	client := &Client{
		baseURL:       baseURL,
		authorization: authorization,
		http:          outbound.NewClient(config.HTTPClient, outbound.SameOrigin),
		maxBodyBytes:  config.MaxBodyBytes,
		timeout:       config.Timeout,
	}
	if client.maxBodyBytes == 0 {
		client.maxBodyBytes = DefaultMaxBodyBytes
	}
	if client.timeout == 0 {
		client.timeout = DefaultTimeout
	}
	return client, nil
}

// authorizationOf returns the Authorization header for a key. The key may include its scheme, in any letter case.
func authorizationOf(key string) (string, error) {
	words := strings.Fields(key)
	if len(words) > 0 && strings.EqualFold(words[0], keyScheme) {
		words = words[1:]
	}
	if len(words) != 1 {
		return "", errors.New("the API key is empty or has white space in it")
	}
	for _, c := range []byte(words[0]) {
		if c <= ' ' || c > '~' {
			return "", errors.New("the API key has characters that a header can't carry")
		}
	}
	return keyScheme + " " + words[0], nil
}

// Categories returns the merchant's categories in their display order; the list may be empty. It leaves out a category
// without a name in either language, and the later of two with the same id.
func (c *Client) Categories(ctx context.Context, merchantID string) ([]menu.Category, error) {
	categories, err := list(ctx, c, "categories", merchantID, category)
	if err != nil {
		return nil, err
	}
	menu.SortCategories(categories)
	return categories, nil
}

// Branches returns the merchant's branches in Sufrah's order; the list may be empty. It leaves out a branch without a name in
// either language, and the later of two with the same id.
func (c *Client) Branches(ctx context.Context, merchantID string) ([]menu.Branch, error) {
	return list(ctx, c, "branches", merchantID, branch)
}

// Products returns the products of a merchant's category at a branch, in Sufrah's order; the list may be empty. It leaves out
// a product without a name in either language, and the later of two with the same id. An empty branchID asks for products
// without regard to a branch.
func (c *Client) Products(ctx context.Context, merchantID, categoryID, branchID string) ([]menu.Product, error) {
	if !validID(categoryID) || branchID != "" && !validID(branchID) {
		return nil, &Error{Op: opProducts, MerchantID: merchantID, Permanent: true, Err: errProductsID}
	}
	path := "/categories/" + url.PathEscape(categoryID) + "/products"
	if branchID != "" {
		path += "?branchId=" + url.QueryEscape(branchID)
	}
	products, err := listAt(ctx, c, opProducts, merchantID, path, product)
	if failure, ok := errors.AsType[*Error](err); ok && errors.Is(failure, ErrUnknownMerchant) {
		failure.Err = ErrUnknownCategory
	}
	return products, err
}

const opProducts = "products"

// list fetches and parses one of the merchant's lists. Its error is always an *Error.
func list[T any](ctx context.Context, c *Client, op, merchantID string, entry func(object) (T, string, bool)) ([]T, error) {
	if !validID(merchantID) {
		return nil, &Error{Op: op, MerchantID: merchantID, Permanent: true, Err: errMerchantID}
	}
	return listAt(ctx, c, op, merchantID, "/merchants/"+url.PathEscape(merchantID)+"/"+op, entry)
}

// listAt fetches and parses the list at a path. Its error is always an *Error.
func listAt[T any](
	ctx context.Context, c *Client, op, merchantID, path string, entry func(object) (T, string, bool),
) ([]T, error) {
	body, failure := c.get(ctx, path)
	if failure == nil {
		entries, err := parseList(body, entry)
		if err == nil {
			return entries, nil
		}
		failure = &Error{StatusCode: http.StatusOK, Err: err}
	}
	failure.Op, failure.MerchantID = op, merchantID
	return nil, failure
}

// get returns the body of an answer, "null" for an answer without content.
func (c *Client) get(ctx context.Context, path string) ([]byte, *Error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.baseURL+path, nil)
	if err != nil {
		return nil, &Error{Permanent: true, Err: outbound.Cause(err)}
	}
	request.Header.Set("Authorization", c.authorization)
	request.Header.Set("Accept", "application/json, text/plain")
	defer timing.Start(ctx, timing.Sufrah)()
	response, err := c.http.Do(request)
	if err != nil {
		return nil, &Error{Err: outbound.Cause(err)}
	}
	defer outbound.Close(response)
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		return []byte("null"), nil
	default:
		return nil, refusal(response)
	}
	body, err := outbound.ReadBody(response, c.maxBodyBytes)
	if err != nil {
		return nil, &Error{StatusCode: response.StatusCode, Err: err}
	}
	return body, nil
}

// validID reports whether an id can be a part of a path without any other meaning there: it has only ASCII letters, digits
// and a few signs, and isn't dots alone.
func validID(id string) bool {
	if id == "" || len(id) > maxMerchantID || strings.Trim(id, ".") == "" {
		return false
	}
	for _, c := range []byte(id) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && strings.IndexByte("-_.:~", c) < 0 {
			return false
		}
	}
	return true
}
