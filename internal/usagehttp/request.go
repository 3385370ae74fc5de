package usagehttp

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

const (
	defaultLimit = 20
	maxLimit     = 100

	defaultAlertLimit = 50
	maxAlertLimit     = 200

	// maxOffset stands for every larger offset: all of them are past the end.
	// It is the largest number that JavaScript counts exactly.
	maxOffset = 1<<53 - 1
)

// restaurantNamed returns what a token's request calls its restaurant: in the header, or as restaurantId or tenantId in the
// query, for dashboards that were made before the header. It may be named in several places, by the same name.
func restaurantNamed(r *http.Request) (string, error) {
	named := strings.TrimSpace(strings.Join(r.Header.Values("X-Restaurant-Id"), ","))
	query, _ := url.ParseQuery(r.URL.RawQuery) // what can't be read of a query was always ignored here
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

// listQuery is what the list is asked for.
type listQuery struct {
	filter usage.Filter
	start  usage.Start
	limit  int
}

// parseListQuery reads the list's parameters. One given twice has no meaning and is refused; unknown ones are ignored,
// so that a client may be newer than the API.
func parseListQuery(raw string) (listQuery, error) {
	q := listQuery{filter: usage.All, limit: defaultLimit}
	offsetGiven := false
	err := parseParameters(raw, map[string]func(name, s string) error{
		"cursor": func(name, s string) (err error) { q.start.After, err = parseCursor(name, s); return },
		"limit":  func(name, s string) (err error) { q.limit, err = wholeNumber(name, s, 1, maxLimit); return },
		"offset": func(name, s string) (err error) {
			offsetGiven = true
			q.start.Offset, err = wholeNumber(name, s, 0, maxOffset)
			return
		},
		"isActive": func(name, s string) (err error) { q.filter, err = activeFilter(name, s); return },
	})
	if err == nil && offsetGiven && q.start.After != nil {
		err = httpedge.InvalidParameter("cursor", "can't be combined with an offset")
	}
	return q, err
}

// maxCursorLength is more than any cursor has: a time in milliseconds and an id of 64 characters, in base64.
const maxCursorLength = 128

// cursorOf names a place in the list. What it is made of is nobody's business but parseCursor's.
func cursorOf(place *usage.Place) string {
	if place == nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(place.CreatedAt.UnixMilli(), 10) + "/" + place.ID))
}

// parseCursor takes what cursorOf makes and nothing else.
func parseCursor(name, s string) (*usage.Place, error) {
	refused := httpedge.InvalidParameter(name, "must be the nextCursor of an earlier page")
	if len(s) > maxCursorLength {
		return nil, refused
	}
	decoded, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, refused
	}
	at, id, _ := strings.Cut(string(decoded), "/")
	milliseconds, err := strconv.ParseInt(at, 10, 64)
	place := &usage.Place{CreatedAt: time.UnixMilli(milliseconds), ID: id}
	if err != nil || !restaurant.ValidID(id) || cursorOf(place) != s {
		return nil, refused
	}
	return place, nil
}

// alertQuery is what the alerts are asked for.
type alertQuery struct {
	threshold     usage.Share
	offset, limit int
}

// parseAlertQuery reads the parameters of the alerts, as parseListQuery does.
func parseAlertQuery(raw string) (alertQuery, error) {
	q := alertQuery{threshold: usage.AlertShare, limit: defaultAlertLimit}
	err := parseParameters(raw, map[string]func(name, s string) error{
		"limit":     func(name, s string) (err error) { q.limit, err = wholeNumber(name, s, 1, maxAlertLimit); return },
		"offset":    func(name, s string) (err error) { q.offset, err = wholeNumber(name, s, 0, maxOffset); return },
		"threshold": func(name, s string) (err error) { q.threshold, err = share(name, s); return },
	})
	return q, err
}

// parseParameters has each parameter that is given parsed, in the order of their names.
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

// share parses a number from 0 to 1 with at most six decimals, which is taken as it stands: nothing is rounded.
func share(name, s string) (usage.Share, error) {
	const decimals = 6 // usage.Whole has as many
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

// wholeNumber parses a decimal number without sign, at least least. A larger one than most is most.
func wholeNumber(name, s string, least, most int) (int, error) {
	wanted := fmt.Sprintf("must be a whole number of at least %d", least)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, httpedge.InvalidParameter(name, wanted)
	}
	n, err := strconv.Atoi(s)
	if err != nil { // only a number too large for an int is left
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
