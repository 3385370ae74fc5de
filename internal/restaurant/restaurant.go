// Package restaurant describes Sufrah's customers: restaurants, and their WhatsApp bots.
package restaurant

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sufrah/usage-bootstrap/internal/phone"
)

// The errors of every store of restaurants.
var (
	// ErrNotFound says that no restaurant has the id.
	ErrNotFound = errors.New("restaurant not found")
	// ErrExists says that there is a restaurant with the id already.
	ErrExists = errors.New("restaurant already exists")
	// ErrIDTaken says that another restaurant or its bot has the id. Callers may ask for a restaurant by either id.
	ErrIDTaken = errors.New("id belongs to another restaurant or its bot")
	// ErrNumberTaken says that another restaurant's bot has the phone number.
	ErrNumberTaken = errors.New("phone number belongs to another restaurant's bot")
)

const (
	maxIDLength   = 64
	maxNameLength = 200
	// maxLimit keeps thirty times the largest limit far below JavaScript's largest exact integer (2^53).
	maxLimit = 1_000_000_000
)

// Restaurant is a tenant. Restaurants are never deleted, only deactivated, because their usage is billing data.
type Restaurant struct {
	ID         string
	Name       string
	MerchantID string // its id in the Sufrah API; empty until it has a menu there
	Active     bool
	CreatedAt  time.Time
}

// Validate returns every fault of r, joined, or nil.
func (r Restaurant) Validate() error {
	var faults []error
	if !ValidID(r.ID) {
		faults = append(faults, fmt.Errorf("id %q: want 1 to %d letters, digits, '-' or '_'", r.ID, maxIDLength))
	}
	if Reserved(r.ID) {
		faults = append(faults, fmt.Errorf("id %q: reserved, because it is a word of the API's paths", r.ID))
	}
	if strings.TrimSpace(r.Name) == "" || !Printable(r.Name, maxNameLength) {
		faults = append(faults, fmt.Errorf("name: want 1 to %d printable characters", maxNameLength))
	}
	if r.MerchantID != "" && !ValidID(r.MerchantID) {
		faults = append(faults, fmt.Errorf("merchant id %q: want letters, digits, '-' or '_'", r.MerchantID))
	}
	if r.CreatedAt.IsZero() {
		faults = append(faults, errors.New("creation time is missing"))
	}
	return errors.Join(faults...)
}

// ValidID reports whether id can be a restaurant's id. Stores are never asked for another.
func ValidID(id string) bool {
	if id == "" || len(id) > maxIDLength {
		return false
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// Reserved reports whether an id is also a part of the API's paths, as in GET /api/usage/alerts.
func Reserved(id string) bool { return id == "alerts" || id == "details" }

// Printable reports whether s has at most most characters and can be shown on one line.
func Printable(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
}

// Bot is the configuration of a restaurant's WhatsApp bot.
type Bot struct {
	ID               string
	PhoneNumber      string // E.164, the number that customers write to; empty while the bot has none
	TwilioAccountSID string // empty: Sufrah's own account
	OwnerNumber      string // E.164, gets quota alerts from the bot; empty: nobody does
	Limits           Limits
}

// Validate returns every fault of b, joined, or nil.
func (b Bot) Validate() error {
	var faults []error
	if !ValidID(b.ID) {
		faults = append(faults, fmt.Errorf("bot id %q: want 1 to %d letters, digits, '-' or '_'", b.ID, maxIDLength))
	}
	if Reserved(b.ID) {
		faults = append(faults, fmt.Errorf("bot id %q: reserved, because it is a word of the API's paths", b.ID))
	}
	if number, err := phone.Parse(b.PhoneNumber); b.PhoneNumber != "" && (err != nil || number != b.PhoneNumber) {
		faults = append(faults, fmt.Errorf("phone number %q: want E.164, such as +966110000000", b.PhoneNumber))
	}
	if number, err := phone.Parse(b.OwnerNumber); b.OwnerNumber != "" && (err != nil || number != b.OwnerNumber) {
		faults = append(faults, fmt.Errorf("owner's number %q: want E.164, such as +966500000001", b.OwnerNumber))
	}
	return errors.Join(append(faults, b.Limits.Validate())...)
}

// Limits bound a bot's conversations and answers. A restaurant without a bot has the configured defaults.
type Limits struct {
	ConversationsPerDay int64 // allowance for a day; -1 means unlimited
	AnswersPerMinute    int64 // automated answers in a minute; -1 means unlimited
}

// DefaultLimits are the limits if nothing else is configured.
var DefaultLimits = Limits{ConversationsPerDay: 1000, AnswersPerMinute: 60}

// Validate returns every fault of l, joined, or nil.
func (l Limits) Validate() error {
	return errors.Join(validLimit("conversations per day", l.ConversationsPerDay), validLimit("answers per minute", l.AnswersPerMinute))
}

func validLimit(name string, limit int64) error {
	if limit < -1 || limit > maxLimit {
		return fmt.Errorf("%s %d: want 0 to %d, or -1 for unlimited", name, limit, maxLimit)
	}
	return nil
}
