package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
)

const (
	sidList     = "CONTENT_SIDS" // entries KEY=HX…, separated by commas
	sidVariable = "CONTENT_SID_" // followed by the template's key
	sidPrefix   = "HX"           // followed by hexadecimal digits
	sidLength   = 34
)

// templateCategories are the categories of our templates. WhatsApp has more (Meta, "Template categorization").
var templateCategories = []delivery.Category{delivery.Utility, delivery.Marketing}

// ParseTemplateSIDs returns the SIDs of templates, by key in lower case. They come from a list, CONTENT_SIDS=KEY=HX…,KEY=HX…,
// and from single variables, CONTENT_SID_<KEY>=HX…, which override the list. An empty variable is ignored, because SAM sets
// unset parameters to "". All faults are reported at once.
func ParseTemplateSIDs(environ []string) (map[string]string, error) {
	listed, single := sidEntries(environ)
	sids := make(map[string]string)
	var faults []error
	for _, entry := range listed {
		key := strings.ToLower(entry.key)
		if _, twice := sids[key]; twice {
			faults = append(faults, fmt.Errorf("%s must not name the key of an earlier entry", entry.origin))
		}
		faults = append(faults, entry.fault())
		sids[key] = entry.sid
	}
	for _, entry := range single {
		faults = append(faults, entry.fault())
		sids[strings.ToLower(entry.key)] = entry.sid
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return sids, nil
}

// ParseTemplateCategories returns the WhatsApp category of each template, by SID. The result has only the entries with a
// category, such as HX…:marketing. ParseTemplateSIDs reports faulty entries.
func ParseTemplateCategories(environ []string) map[string]delivery.Category {
	listed, single := sidEntries(environ)
	categories := make(map[string]delivery.Category)
	for _, entry := range slices.Concat(listed, single) {
		if entry.category != "" {
			categories[entry.sid] = delivery.Category(entry.category)
		}
	}
	return categories
}

// sidEntries returns the entries of the list and of the single variables.
func sidEntries(environ []string) (listed, single []sidEntry) {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		key, one := strings.CutPrefix(name, sidVariable)
		switch {
		case value == "":
		case name == sidList:
			for i, entry := range strings.Split(value, ",") {
				key, sid, _ := strings.Cut(entry, "=")
				listed = append(listed, newSIDEntry(fmt.Sprintf("%s, entry %d,", sidList, i+1), key, sid))
			}
		case one:
			single = append(single, newSIDEntry(name, key, value))
		}
	}
	return listed, single
}

// sidEntry is a template's SID as the environment gives it, with or without a category.
type sidEntry struct {
	origin             string // the variable, and in a list also the entry
	key, sid, category string
	hasCategory        bool
}

func newSIDEntry(origin, key, value string) sidEntry {
	e := sidEntry{origin: origin, key: key}
	e.sid, e.category, e.hasCategory = strings.Cut(value, ":")
	return e
}

// fault describes the fault of an entry, without its value, or returns nil.
func (e sidEntry) fault() error {
	switch {
	case !validKey(e.key):
		return fmt.Errorf("%s must have a key of capital letters, digits and underscores", e.origin)
	case !validSID(e.sid):
		return fmt.Errorf("%s must have a content SID: HX and 32 hexadecimal digits", e.origin)
	case e.hasCategory && !slices.Contains(templateCategories, delivery.Category(e.category)):
		return fmt.Errorf("%s must have one of the categories %v behind its SID and a colon, or neither", e.origin, templateCategories)
	}
	return nil
}

func validKey(key string) bool {
	return key != "" && strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

func validSID(sid string) bool {
	digits, ok := strings.CutPrefix(sid, sidPrefix)
	return ok && len(sid) == sidLength && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}

// TemplateServer is the part of a cache that keeps template SIDs.
type TemplateServer interface {
	// Get returns the key's value; found is false if it has none.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// SetAll gives each key its value for ttl and returns the number of keys set. If that is fewer than all, it also returns
	// an error.
	SetAll(ctx context.Context, values map[string][]byte, ttl time.Duration) (int, error)
}

// Templates knows the SIDs of the message templates.
type Templates struct {
	server TemplateServer
	own    map[string]string
	ttl    time.Duration
	log    *slog.Logger
}

// NewTemplates returns templates that the server keeps for ttl after each Warm. own has the SIDs of the function's own
// environment, by key; these are never looked up.
func NewTemplates(server TemplateServer, own map[string]string, ttl time.Duration, log *slog.Logger) *Templates {
	return &Templates{server: server, own: own, ttl: ttl, log: log}
}

// Warm writes the SIDs, by key, into the cache in one round trip. It returns the number written, and an error if that is
// fewer than all.
func (t *Templates) Warm(ctx context.Context, sids map[string]string) (int, error) {
	if len(sids) == 0 {
		return 0, nil
	}
	values := make(map[string][]byte, len(sids))
	for key, sid := range sids {
		values[sidKey(key)] = []byte(sid)
	}
	return t.server.SetAll(ctx, values, t.ttl)
}

// SID returns the SID of the template with a lower-case key, and false if there is none.
//
// The function's own environment comes first, and costs no round trip. The cache can't have a newer SID for such a key: a
// worker of the same deployment wrote it, from the same settings. Only keys missing in the environment are looked up.
func (t *Templates) SID(ctx context.Context, key string) (string, bool) {
	if own, ok := t.own[key]; ok {
		return own, true
	}
	sid, _, err := t.server.Get(ctx, sidKey(key))
	if err != nil && ctx.Err() == nil {
		t.log.WarnContext(ctx, "cache command failed: the call goes on without the cache", "operation", "read", "key", sidKey(key), "error", err)
	}
	return string(sid), validSID(string(sid))
}

func sidKey(key string) string {
	return Key("templates", "sid:"+key)
}
