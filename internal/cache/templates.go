package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

const (
	sidVariable = "CONTENT_SID_" // followed by the template's key
	sidPrefix   = "HX"           // followed by hexadecimal digits
	sidLength   = 34
)

// ParseTemplateSIDs returns the template SIDs that variables of the form CONTENT_SID_<KEY>=HX… give, by key in lower
// case. Empty ones are left out: that is what SAM makes of a parameter that isn't set. It reports all faults at once.
func ParseTemplateSIDs(environ []string) (map[string]string, error) {
	sids := make(map[string]string)
	var faults []error
	for _, variable := range environ {
		name, sid, _ := strings.Cut(variable, "=")
		key, ok := strings.CutPrefix(name, sidVariable)
		if !ok || sid == "" {
			continue
		}
		switch {
		case !validKey(key):
			faults = append(faults, fmt.Errorf("%s must end in a key of capital letters, digits and underscores", name))
		case !validSID(sid):
			faults = append(faults, fmt.Errorf("%s must be a content SID: HX and 32 hexadecimal digits", name))
		default:
			sids[strings.ToLower(key)] = sid
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return sids, nil
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
	// Get is that of Entries.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// SetAll gives each key its value for ttl and returns how many it set. An error says that it weren't all.
	SetAll(ctx context.Context, values map[string][]byte, ttl time.Duration) (int, error)
}

// Templates knows the SIDs of the message templates.
type Templates struct {
	server TemplateServer
	own    map[string]string
	ttl    time.Duration
	log    *slog.Logger
}

// NewTemplates returns templates that the server keeps for ttl after each Warm. own are those of the function itself, by
// key, for when the server has none.
func NewTemplates(server TemplateServer, own map[string]string, ttl time.Duration, log *slog.Logger) *Templates {
	return &Templates{server: server, own: own, ttl: ttl, log: log}
}

// Warm writes the SIDs, by key, into the cache in one round trip. It returns how many were written, and an error where
// that isn't all of them.
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

// SID returns the SID of the template with the key, in lower case, or false where it has none.
func (t *Templates) SID(ctx context.Context, key string) (string, bool) {
	sid, _, err := t.server.Get(ctx, sidKey(key))
	if err != nil && ctx.Err() == nil {
		t.log.WarnContext(ctx, "the cache failed", "operation", "read", "key", sidKey(key), "error", err)
	}
	if validSID(string(sid)) {
		return string(sid), true
	}
	own, ok := t.own[key]
	return own, ok
}

func sidKey(key string) string {
	return Key("templates", "sid:"+key)
}
