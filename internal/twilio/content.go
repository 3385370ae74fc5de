package twilio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/outbound"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// DefaultContentBaseURL is the address of the Content API.
const DefaultContentBaseURL = "https://content.twilio.com"

// maxContentAnswer bounds the part of an answer that is read, in bytes. A page of contentPage lists has some 150 KiB.
const (
	maxContentAnswer = 1 << 20
	contentPage      = 50
)

// Contents makes, finds and deletes lists with the Content API (https://www.twilio.com/docs/content/content-api-resources),
// with the token of the account that a list belongs to. Lists are found by name, so we need no table of them. Twilio limits
// an account's approved contents only. A list-picker is never approved, so an account may have any number of lists. It is
// safe for concurrent use.
type Contents struct {
	client    *Client
	tokens    Tokens
	masterSID string
}

// NewContents returns the contents of accounts; an empty account is masterSID's. It fails if New does.
func NewContents(config Config, tokens Tokens, masterSID string) (*Contents, error) {
	if config.BaseURL == "" {
		config.BaseURL = DefaultContentBaseURL
	}
	client, err := New(config)
	if err != nil {
		return nil, err
	}
	return &Contents{client: client, tokens: tokens, masterSID: masterSID}, nil
}

// content is the API's description of a content.
type content struct {
	SID     string    `json:"sid"`
	Name    string    `json:"friendly_name"`
	Created time.Time `json:"date_created"`
}

// Find returns the SID of the newest content with a name that was made after a time, "" if there is none.
func (c *Contents) Find(ctx context.Context, accountSID, name string, after time.Time) (string, error) {
	found, err := c.search(ctx, accountSID, url.Values{
		"ContentName": {"^" + name + "$"}, "DateCreatedAfter": {after.UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return "", fmt.Errorf("looking for a list: %w", err)
	}
	newest := content{}
	for _, f := range found {
		// Twilio's filters are regular expressions and dates in its own form, so each match is checked here.
		if f.Name == name && f.Created.After(after) && f.Created.After(newest.Created) {
			newest = f
		}
	}
	return newest.SID, nil
}

// Older returns SIDs of contents that were made before a time, with names that begin with a prefix. more says
// whether there may be others.
func (c *Contents) Older(ctx context.Context, accountSID, prefix string, before time.Time) (sids []string, more bool, err error) {
	found, err := c.search(ctx, accountSID, url.Values{
		"ContentName": {"^" + prefix}, "DateCreatedBefore": {before.UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return nil, false, fmt.Errorf("looking for lists to delete: %w", err)
	}
	for _, f := range found {
		if strings.HasPrefix(f.Name, prefix) && f.Created.Before(before) {
			sids = append(sids, f.SID)
		}
	}
	return sids, len(found) == contentPage, nil
}

func (c *Contents) search(ctx context.Context, accountSID string, query url.Values) ([]content, error) {
	query.Set("PageSize", fmt.Sprint(contentPage))
	body, err := c.call(ctx, accountSID, http.MethodGet, "/v2/Content?"+query.Encode(), nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Contents []content `json:"contents"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, &Error{StatusCode: http.StatusOK, Err: errors.New("the answer is not a list of contents")}
	}
	return answer.Contents, nil
}

// listPicker is Twilio's form of a list (https://www.twilio.com/docs/content/twiliolist-picker).
type listPicker struct {
	Body   string     `json:"body"`
	Button string     `json:"button"`
	Items  []listItem `json:"items"`
}

type listItem struct {
	Item        string `json:"item"`
	ID          string `json:"id"`
	Description string `json:"description"`
}

// Create makes the content of a list, and returns its SID.
func (c *Contents) Create(ctx context.Context, accountSID string, list listpicker.List) (string, error) {
	picker := listPicker{Body: list.Body, Button: list.Button}
	for _, item := range list.Items {
		picker.Items = append(picker.Items, listItem{Item: item.Title, ID: item.ID, Description: item.Description})
	}
	body, err := json.Marshal(map[string]any{
		"friendly_name": list.Name(), "language": list.Language, "types": map[string]any{"twilio/list-picker": picker},
	})
	if err != nil {
		return "", fmt.Errorf("encoding a list: %w", err)
	}
	answer, err := c.call(ctx, accountSID, http.MethodPost, "/v1/Content", body, http.StatusCreated)
	if err != nil {
		return "", fmt.Errorf("making a list: %w", err)
	}
	made := sid(answer)
	if !strings.HasPrefix(made, "HX") {
		return "", fmt.Errorf("making a list: %w", &Error{StatusCode: http.StatusCreated, Err: errors.New("the answer has no SID")})
	}
	return made, nil
}

// Delete deletes a content; a missing content counts as deleted.
func (c *Contents) Delete(ctx context.Context, accountSID, contentSID string) error {
	_, err := c.call(ctx, accountSID, http.MethodDelete, "/v1/Content/"+url.PathEscape(contentSID), nil, http.StatusNoContent)
	if failure, ok := errors.AsType[*Error](err); ok && failure.StatusCode == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deleting a list: %w", err)
	}
	return nil
}

// call makes a call and returns the answer's body. It fails with an *Error, or if the token can't be read.
func (c *Contents) call(ctx context.Context, accountSID, method, path string, body []byte, want int) ([]byte, error) {
	if accountSID == "" {
		accountSID = c.masterSID
	}
	token, err := c.tokens.AuthToken(ctx, accountSID)
	if err != nil {
		return nil, fmt.Errorf("looking up the auth token: %w", err)
	}
	if !alphanumeric(accountSID) || token == "" {
		return nil, &Error{Err: errCredentials}
	}
	ctx, cancel := context.WithTimeout(ctx, c.client.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.client.baseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Err: outbound.Cause(err)}
	}
	request.SetBasicAuth(accountSID, token)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	defer timing.Start(ctx, timing.Twilio)()
	response, err := c.client.http.Do(request)
	if err != nil {
		return nil, &Error{Err: outbound.Cause(err)}
	}
	defer outbound.Close(response)
	answer, err := outbound.ReadBody(response, maxContentAnswer)
	if response.StatusCode == want && err == nil {
		return answer, nil
	}
	_, basic, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	failure := parseError(response.StatusCode, response.Header, answer, token, basic)
	failure.Err = err
	return nil, failure
}
