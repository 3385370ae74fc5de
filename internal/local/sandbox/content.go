package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
)

// Limits of a list-picker (https://www.twilio.com/docs/content/twiliolist-picker); the button's is that of WhatsApp's
// interactive lists. Characters are counted in UTF-16 units, which give the largest of the usual counts.
const (
	maxListItems       = 10
	maxListTitle       = 24
	maxListDescription = 72
	maxListID          = 200
	maxListBody        = 1024
	maxListButton      = 20

	maxContentBytes = 64 << 10
	// madeSID is the prefix of the SIDs of contents made here. Any other SID counts as an approved template's.
	madeSID = "HX5a4db0c5"
	// sessionLength is how long after a customer's message content without approval can be sent.
	sessionLength = 24 * time.Hour
)

// ListPicker is the content of a message with rows to tap.
type ListPicker struct {
	Body   string     `json:"body"`
	Button string     `json:"button"`
	Items  []ListItem `json:"items"`
}

// ListItem is one row. A tap on it comes back as ListId and ListTitle.
type ListItem struct {
	Item        string `json:"item"`
	ID          string `json:"id"`
	Description string `json:"description"`
}

// content is a resource of the Content API.
type content struct {
	SID          string                `json:"sid"`
	AccountSID   string                `json:"account_sid"`
	FriendlyName string                `json:"friendly_name"`
	Language     string                `json:"language"`
	Variables    map[string]string     `json:"variables"`
	Types        map[string]ListPicker `json:"types"`
	DateCreated  string                `json:"date_created"`
	DateUpdated  string                `json:"date_updated"`
	URL          string                `json:"url"`

	created time.Time
}

// Contents stands in for Twilio's Content API, only for twilio/list-picker: POST /v1/Content, GET and DELETE
// /v1/Content/{sid}, and the search GET /v2/Content by ContentName, DateCreatedAfter and DateCreatedBefore. It refuses lists
// that exceed a limit, lack a description, or have two rows with the same id.
//
// Twilio's reference has no error code for a refused content, so clients must look at the status only; the stand-in answers
// 20001. Twilio has no limit of contents without approval ("The Content API supports an unlimited number of content
// templates", https://www.twilio.com/docs/content/content-api-resources). Limit sets one, to show its effect.
type Contents struct {
	fault   *Fault
	handler http.Handler
	now     func() time.Time

	mu    sync.Mutex
	bySID map[string]content
	made  int // number of contents ever made
	limit int // contents of an account; 0 is no limit
}

func newContents(now func() time.Time, random func() float64) *Contents {
	c := &Contents{fault: NewFault(random, writeTwilioFailure), now: now, bySID: make(map[string]content)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/Content", c.create)
	mux.HandleFunc("GET /v1/Content/{sid}", c.fetch)
	mux.HandleFunc("DELETE /v1/Content/{sid}", c.remove)
	mux.HandleFunc("GET /v2/Content", c.search)
	c.handler = c.fault.Wrap(mux)
	return c
}

// Fault returns the switch for faults of the Content API.
func (c *Contents) Fault() *Fault { return c.fault }

// Made returns the number of contents ever made, including deleted ones.
func (c *Contents) Made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made
}

// Limit sets the most contents of an account; 0 is no limit, as at Twilio.
func (c *Contents) Limit(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = n
}

// ServeHTTP shows the number of contents and their limit (GET), or sets the limit (PUT {"limit": 0}).
func (c *Contents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		var set struct {
			Limit int `json:"limit"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBehaviorBytes)).Decode(&set); err != nil || set.Limit < 0 {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": "limit must be a whole number from 0", "code": "invalid_limit"})
			return
		}
		c.Limit(set.Limit)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]int{"limit": c.limit, "made": c.made, "contents": len(c.bySID)})
}

// account returns the caller's account. If the request names none, it answers with an error.
func (c *Contents) account(w http.ResponseWriter, r *http.Request) (string, bool) {
	account, token, ok := r.BasicAuth()
	if !ok || account == "" || token == "" {
		writeTwilioFailure(w, http.StatusUnauthorized)
		return "", false
	}
	return account, true
}

func (c *Contents) create(w http.ResponseWriter, r *http.Request) {
	account, ok := c.account(w, r)
	if !ok {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxContentBytes))
	made := content{AccountSID: account}
	if err == nil {
		err = json.Unmarshal(body, &made)
	}
	if err == nil {
		err = made.validate()
	}
	if err != nil {
		writeTwilioError(w, *badRequest(20001, "%s", err))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	owned := 0
	for _, other := range c.bySID {
		if other.AccountSID == account {
			owned++
		}
	}
	if c.limit > 0 && owned >= c.limit {
		writeTwilioError(w, *badRequest(20001, "the account has reached its limit of contents: delete one first"))
		return
	}
	c.made++
	made.AccountSID = account
	made.created = c.now().UTC()
	made.SID = fmt.Sprintf("%s%0*x", madeSID, 34-len(madeSID), c.made)
	made.DateCreated = made.created.Format(time.RFC3339)
	made.DateUpdated = made.DateCreated
	made.URL = "https://content.twilio.com/v1/Content/" + made.SID
	c.bySID[made.SID] = made
	writeJSON(w, http.StatusCreated, made)
}

// validate returns an error for a content that Twilio or WhatsApp would refuse.
func (c content) validate() error {
	if c.Language == "" || len(c.Types) != 1 {
		return fmt.Errorf("a content needs a language and exactly one type")
	}
	list, ok := c.Types["twilio/list-picker"]
	if !ok {
		return fmt.Errorf("the sandbox supports only the type twilio/list-picker")
	}
	if len(list.Items) < 1 || len(list.Items) > maxListItems {
		return fmt.Errorf("a list needs 1 to %d items, and this one has %d", maxListItems, len(list.Items))
	}
	fields := []struct {
		name, value string
		most        int
	}{{"body", list.Body, maxListBody}, {"button", list.Button, maxListButton}}
	ids := map[string]bool{}
	for _, item := range list.Items {
		fields = append(fields, []struct {
			name, value string
			most        int
		}{{"item", item.Item, maxListTitle}, {"id", item.ID, maxListID}, {"description", item.Description, maxListDescription}}...)
		if ids[item.ID] {
			return fmt.Errorf("two items have the id %q", item.ID)
		}
		ids[item.ID] = true
	}
	for _, f := range fields {
		if n := len(utf16.Encode([]rune(f.value))); strings.TrimSpace(f.value) == "" || n > f.most {
			return fmt.Errorf("%s must have 1 to %d characters, and has %d", f.name, f.most, n)
		}
		for _, variable := range variablePattern.FindAllStringSubmatch(f.value, -1) {
			if c.Variables[variable[1]] == "" {
				return fmt.Errorf("variable %s has no sample value in variables", variable[1])
			}
		}
	}
	return nil
}

var variablePattern = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// own returns a content of the account.
func (c *Contents) own(account, sid string) (content, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.bySID[sid]
	return found, ok && found.AccountSID == account
}

func (c *Contents) fetch(w http.ResponseWriter, r *http.Request) {
	account, ok := c.account(w, r)
	if !ok {
		return
	}
	found, ok := c.own(account, r.PathValue("sid"))
	if !ok {
		writeTwilioFailure(w, http.StatusNotFound)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

func (c *Contents) remove(w http.ResponseWriter, r *http.Request) {
	account, ok := c.account(w, r)
	if !ok {
		return
	}
	if _, ok := c.own(account, r.PathValue("sid")); !ok {
		writeTwilioFailure(w, http.StatusNotFound)
		return
	}
	c.mu.Lock()
	delete(c.bySID, r.PathValue("sid"))
	c.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// search answers with a page of the account's contents, oldest first.
func (c *Contents) search(w http.ResponseWriter, r *http.Request) {
	account, ok := c.account(w, r)
	if !ok {
		return
	}
	query := r.URL.Query()
	name, err := regexp.Compile(query.Get("ContentName"))
	size, sizeErr := strconv.Atoi(query.Get("PageSize"))
	if query.Get("PageSize") == "" {
		size, sizeErr = 50, nil
	}
	after, afterErr := instant(query.Get("DateCreatedAfter"))
	before, beforeErr := instant(query.Get("DateCreatedBefore"))
	if err != nil || sizeErr != nil || size < 1 || size > 1000 || afterErr != nil || beforeErr != nil {
		writeTwilioError(w, *badRequest(20001, "the search has a malformed parameter: ContentName, PageSize or a date"))
		return
	}
	c.mu.Lock()
	all := slices.SortedFunc(maps.Values(c.bySID), func(a, b content) int { return strings.Compare(a.SID, b.SID) })
	c.mu.Unlock()
	found := []content{}
	for _, one := range all {
		if one.AccountSID == account && name.MatchString(one.FriendlyName) && !one.created.Before(after) &&
			(before.IsZero() || !one.created.After(before)) && len(found) < size {
			found = append(found, one)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"contents": found, "meta": map[string]any{"key": "contents", "page_size": size}})
}

func instant(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, s)
}
