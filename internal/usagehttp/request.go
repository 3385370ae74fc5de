package usagehttp

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/search"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

const (
	defaultLimit = 20
	maxLimit     = 100

	defaultAlertLimit = 50
	maxAlertLimit     = 200

	// maxOffset stands for every larger offset: all of them are past the end. It is the largest whole number that JavaScript
	// represents exactly.
	maxOffset = 1<<53 - 1
)

// restaurantNamed returns the id by which a token's request names a restaurant. The id is in the header, or, for dashboards
// older than the header, in the query as restaurantId or tenantId. If several places have an id, they must agree.
func restaurantNamed(r *http.Request) (string, error) {
	named := strings.TrimSpace(strings.Join(r.Header.Values("X-Restaurant-Id"), ","))
	query, _ := url.ParseQuery(r.URL.RawQuery) // invalid parts of the query have always been ignored here
	for _, parameter := range []string{"restaurantId", "tenantId"} {
		for _, value := range query[parameter] {
			value = strings.TrimSpace(value)
			if named != "" && value != "" && value != named {
				return "", errTwoRestaurants
			}
			named = cmp.Or(named, value)
		}
	}
	return named, nil
}

// listQuery holds the list's parameters.
type listQuery struct {
	filter usage.Filter
	search search.Query
	start  usage.Start
	limit  int
}

// parseListQuery reads the list's parameters. A parameter given twice is refused, because its meaning is unclear. Unknown
// parameters are ignored, so that a client may be newer than the API.
func parseListQuery(raw string) (listQuery, error) {
	q := listQuery{filter: usage.All, limit: defaultLimit}
	var cursor *string
	offsetGiven := false
	err := parseParameters(raw, map[string]func(name, s string) error{
		"cursor": func(_, s string) error { cursor = &s; return nil },
		"limit":  func(name, s string) (err error) { q.limit, err = wholeNumber(name, s, 1, maxLimit); return },
		"offset": func(name, s string) (err error) {
			offsetGiven = true
			q.start.Offset, err = wholeNumber(name, s, 0, maxOffset)
			return
		},
		"isActive": func(name, s string) (err error) { q.filter, err = activeFilter(name, s); return },
		"search":   func(name, s string) (err error) { q.search, err = searched(name, s); return },
	})
	switch {
	case err != nil || cursor == nil:
		return q, err
	case offsetGiven:
		return q, httpedge.InvalidParameter("cursor", "can't be combined with an offset")
	}
	q.start, err = parseCursor("cursor", *cursor, q.search)
	return q, err
}

func searched(name, s string) (search.Query, error) {
	q, err := search.Parse(s)
	switch {
	case errors.Is(err, search.ErrTooLong):
		err = httpedge.InvalidParameter(name, fmt.Sprintf("must have at most %d characters", search.MaxText))
	case errors.Is(err, search.ErrTooShort):
		err = httpedge.InvalidParameter(name, fmt.Sprintf("must have a word of at least %d letters or digits", search.MinTerm))
	}
	return q, err
}

// maxCursorLength is more than any cursor needs: a number, a word of 64 characters and an id of up to 64, in base64.
const maxCursorLength = 512

// cursorOf encodes the end of a page, as a place in the list or in a search's results. The cursor is empty on the last page.
// Only parseCursor knows the format.
func cursorOf(place *usage.Place, hit *usage.Hit) string {
	var parts []string
	switch {
	case place != nil:
		parts = []string{strconv.FormatInt(place.CreatedAt.UnixMilli(), 10), place.ID}
	case hit != nil:
		parts = []string{strconv.Itoa(hit.Before), hit.Word, hit.ID}
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, "/")))
}

// parseCursor decodes a cursor made by cursorOf. It refuses a list's cursor in a search, a search's cursor in the list, and a
// search's cursor with a word that doesn't match q.
func parseCursor(name, s string, q search.Query) (usage.Start, error) {
	refused := httpedge.InvalidParameter(name, "must be the nextCursor of an earlier page of the same list")
	if len(s) > maxCursorLength {
		return usage.Start{}, refused
	}
	decoded, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return usage.Start{}, refused
	}
	first, id, _ := strings.Cut(string(decoded), "/")
	number, err := strconv.ParseInt(first, 10, 64)
	var start usage.Start
	if q.IsZero() {
		start.After = &usage.Place{CreatedAt: time.UnixMilli(number), ID: id}
	} else {
		var word string
		word, id, _ = strings.Cut(id, "/")
		if number < 0 || number > maxOffset || q.TermOf(word) == "" || !utf8.ValidString(word) {
			return usage.Start{}, refused
		}
		start.Behind = &usage.Hit{Before: int(number), Word: word, ID: id}
	}
	if err != nil || !restaurant.ValidID(id) || cursorOf(start.After, start.Behind) != s {
		return usage.Start{}, refused
	}
	return start, nil
}

// alertQuery holds the parameters of the alerts.
type alertQuery struct {
	threshold     usage.Share
	offset, limit int
}

// parseAlertQuery reads the parameters of the alerts. A parameter given twice is refused, and unknown parameters are ignored.
func parseAlertQuery(raw string) (alertQuery, error) {
	q := alertQuery{threshold: usage.AlertShare, limit: defaultAlertLimit}
	err := parseParameters(raw, map[string]func(name, s string) error{
		"limit":     func(name, s string) (err error) { q.limit, err = wholeNumber(name, s, 1, maxAlertLimit); return },
		"offset":    func(name, s string) (err error) { q.offset, err = wholeNumber(name, s, 0, maxOffset); return },
		"threshold": func(name, s string) (err error) { q.threshold, err = share(name, s); return },
	})
	return q, err
}

// parseParameters calls the parsers of the query's known parameters, in the order of their names.
func parseParameters(raw string, parsers map[string]func(name, s string) error) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return errMalformedQuery
	}
	for _, name := range slices.Sorted(maps.Keys(parsers)) {
		given := values[name]
		if len(given) == 0 {
			continue
		}
		if len(given) > 1 {
			return httpedge.InvalidParameter(name, "must be given once")
		}
		if err := parsers[name](name, given[0]); err != nil {
			return err
		}
	}
	return nil
}

// share parses a number from 0 to 1 with at most six decimals. Nothing is rounded.
func share(name, s string) (usage.Share, error) {
	const decimals = 6 // as many as usage.Whole has
	whole, fraction, _ := strings.Cut(s, ".")
	digits := whole + fraction
	if whole == "" || len(whole) > 1 || len(fraction) > decimals || strings.HasSuffix(s, ".") || strings.Trim(digits, "0123456789") != "" {
		return 0, httpedge.InvalidParameter(name, "must be a number from 0 to 1 with at most six decimals")
	}
	millionths, err := strconv.Atoi(digits + strings.Repeat("0", decimals-len(fraction)))
	if err != nil || usage.Share(millionths) > usage.Whole {
		return 0, httpedge.InvalidParameter(name, "must be a number from 0 to 1 with at most six decimals")
	}
	return usage.Share(millionths), nil
}

// wholeNumber parses a decimal number without sign, which must be at least least. A number above most becomes most.
func wholeNumber(name, s string, least, most int) (int, error) {
	wanted := fmt.Sprintf("must be a whole number of at least %d", least)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, httpedge.InvalidParameter(name, wanted)
	}
	n, err := strconv.Atoi(s)
	if err != nil { // the number is too large for an int
		return most, nil
	}
	if n < least {
		return 0, httpedge.InvalidParameter(name, wanted)
	}
	return min(n, most), nil
}

func activeFilter(name, s string) (usage.Filter, error) {
	switch s {
	case "true":
		return usage.ActiveOnly, nil
	case "false":
		return usage.InactiveOnly, nil
	}
	return usage.All, httpedge.InvalidParameter(name, `must be "true" or "false"`)
}
