package sandbox

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// maxMessages is the number of latest messages that the stand-in remembers.
	maxMessages = 10_000

	// maxTextRunes is the greatest length of a WhatsApp message, in characters.
	maxTextRunes = 1600

	maxFormBytes = 64 << 10

	whatsApp = "whatsapp:"
)

// SentMessage is a message that Twilio was asked to send.
type SentMessage struct {
	At               string            `json:"at"`   // RFC 3339, UTC, with milliseconds
	From             string            `json:"from"` // E.164, or a messaging service's SID
	To               string            `json:"to"`   // E.164
	ContentSID       string            `json:"contentSid"`
	ContentVariables map[string]string `json:"contentVariables"` // null if there are none
	Body             string            `json:"body"`
	// Text is an approved template's text with its variables, absent for any other message.
	Text string `json:"text,omitempty"`
	// ListPicker is the list of a content made over the Content API, absent for any other message.
	ListPicker *ListPicker `json:"listPicker,omitempty"`
	SID        string      `json:"sid"`
	Status     string      `json:"status"`    // the furthest status so far
	ErrorCode  int         `json:"errorCode"` // of a failed message, otherwise 0
}

// Twilio stands in for Twilio's Messages API: POST /2010-04-01/Accounts/{sid}/Messages.json. It accepts any account and
// token, remembers the messages, and reports each message's statuses to its StatusCallback as its Delivery says. Like Twilio,
// it refuses Twilio's test receivers: +15005550001 is no valid number, +15005550004 has unsubscribed, and +15005550009 is no
// mobile.
//
// A content made over the Content API exists only for its own account, until it is deleted. A customer who has written
// through the stack gets it only within 24 hours of writing.
//
// It is safe for concurrent use.
type Twilio struct {
	fault    *Fault
	contents *Contents
	handler  http.Handler
	now      func() time.Time
	random   func() float64
	reports  *reports

	mu       sync.Mutex
	delivery Delivery
	approved map[string]Template  // by SID; nil: every SID that wasn't made here counts as an approved template's
	wrote    map[string]time.Time // time of a customer's latest message to a number, by both addresses
	accepted int                  // number of messages ever accepted
	messages []SentMessage        // ring buffer: message n is at n modulo maxMessages
}

// NewTwilio returns a stand-in. Messages get their time from now. random decides which calls fail, as for NewFault.
func NewTwilio(now func() time.Time, random func() float64) *Twilio {
	var luck sync.Mutex // both faults use the same random
	shared := func() float64 {
		luck.Lock()
		defer luck.Unlock()
		return random()
	}
	t := &Twilio{
		fault: NewFault(shared, writeTwilioFailure), contents: newContents(now, shared), now: now, random: shared,
		wrote: make(map[string]time.Time), delivery: prompt(), reports: newReports(),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2010-04-01/Accounts/{sid}/Messages.json", t.create)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		message := fmt.Sprintf("The requested resource %s was not found", r.URL.Path)
		writeTwilioError(w, twilioError{Code: 20404, Message: message, Status: http.StatusNotFound})
	})
	outer := http.NewServeMux()
	outer.Handle("/", t.fault.Wrap(mux))
	outer.Handle("/v1/Content", t.contents.handler)
	outer.Handle("/v1/Content/", t.contents.handler)
	outer.Handle("/v2/Content", t.contents.handler)
	t.handler = outer
	return t
}

// ServeHTTP answers as Twilio does, or as the fault says.
func (t *Twilio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.handler.ServeHTTP(w, r)
}

// Fault returns the switch for faults of the stand-in. A failing call sends nothing.
func (t *Twilio) Fault() *Fault {
	return t.fault
}

// Contents returns the stand-in of the Content API.
func (t *Twilio) Contents() *Contents { return t.contents }

// Wrote notes that a customer has just written to a number. Both addresses have the form that webhooks have.
func (t *Twilio) Wrote(from, to string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.wrote) >= maxMessages {
		clear(t.wrote)
	}
	t.wrote[from+" "+to] = t.now()
}

// Messages returns the messages to a number, newest first; "" means all numbers. At most the latest 10,000 are known.
// "whatsapp:" may stand before the number, and a space in place of its plus sign, as in a query.
func (t *Twilio) Messages(to string) []SentMessage {
	to = strings.TrimPrefix(strings.TrimSpace(to), whatsApp)
	if to = strings.TrimSpace(to); to != "" && to[0] != '+' && !isUserID(to) {
		to = "+" + to
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	found := []SentMessage{}
	for n := t.accepted - 1; n >= max(0, t.accepted-maxMessages); n-- {
		if m := t.messages[n%maxMessages]; to == "" || m.To == to {
			found = append(found, m)
		}
	}
	return found
}

// twilioError is an error in Twilio's form.
type twilioError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

func badRequest(code int, format string, args ...any) *twilioError {
	return &twilioError{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

func writeTwilioError(w http.ResponseWriter, e twilioError) {
	e.MoreInfo = fmt.Sprintf("https://www.twilio.com/docs/errors/%d", e.Code)
	writeJSON(w, e.Status, e)
}

// writeTwilioFailure writes Twilio's error for a status.
func writeTwilioFailure(w http.ResponseWriter, status int) {
	e := twilioError{Code: 20000 + status, Message: http.StatusText(status), Status: status}
	switch status {
	case http.StatusUnauthorized:
		e.Code, e.Message = 20003, "Authenticate"
	case http.StatusTooManyRequests:
		e.Message = "Too Many Requests"
		w.Header().Set("Retry-After", "1")
	}
	writeTwilioError(w, e)
}

// create takes a message to be sent.
func (t *Twilio) create(w http.ResponseWriter, r *http.Request) {
	account := r.PathValue("sid")
	if user, token, ok := r.BasicAuth(); !ok || user != account || token == "" {
		writeTwilioFailure(w, http.StatusUnauthorized)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	if err := r.ParseForm(); err != nil {
		writeTwilioFailure(w, http.StatusBadRequest)
		return
	}
	message, refusal := parseMessage(r.PostForm.Get)
	if refusal != nil {
		writeTwilioError(w, *refusal)
		return
	}
	if refusal := t.attach(account, r.PostForm.Get, &message); refusal != nil {
		writeTwilioError(w, *refusal)
		return
	}
	callback, refusal := parseCallback(r.PostForm.Get("StatusCallback"))
	if refusal != nil {
		writeTwilioError(w, *refusal)
		return
	}
	at := t.now().UTC()
	message.At = at.Format("2006-01-02T15:04:05.000Z")
	outcome := t.outcome()
	message.Status = outcome.initial
	if outcome.answered() {
		message.ErrorCode = outcome.code
	}
	number := t.remember(message)
	message.SID = messageSID(number)
	_, token, _ := r.BasicAuth()
	writeJSON(w, http.StatusCreated, created(account, message, r.PostForm.Get, at))
	to := report{callback: callback, account: account, token: token, from: r.PostForm.Get("From"), to: r.PostForm.Get("To")}
	t.report(number, to, outcome)
}

// attach adds the list of a made content to the message, or refuses to send it. Twilio reports that refusal, 63016, in a
// status callback (https://www.twilio.com/docs/api/errors/63016); the stand-in answers with it.
func (t *Twilio) attach(account string, parameter func(string) string, message *SentMessage) *twilioError {
	if message.ContentSID == "" {
		return nil
	}
	if !strings.HasPrefix(message.ContentSID, madeSID) {
		return t.fill(message)
	}
	found, ok := t.contents.own(account, message.ContentSID)
	if !ok {
		return badRequest(21655, "The ContentSid Parameter is invalid.")
	}
	t.mu.Lock()
	wrote, known := t.wrote[parameter("To")+" "+parameter("From")]
	t.mu.Unlock()
	if known && t.now().Sub(wrote) >= sessionLength {
		return badRequest(63016, "Failed to send freeform message because you are outside the allowed window.")
	}
	list := found.Types["twilio/list-picker"]
	message.ListPicker = &list
	return nil
}

// parseMessage parses a message, and refuses it if Twilio would.
func parseMessage(parameter func(string) string) (SentMessage, *twilioError) {
	from, to := parameter("From"), parameter("To")
	service, content := parameter("MessagingServiceSid"), parameter("ContentSid")
	body := parameter("Body")
	switch {
	case to == "":
		return SentMessage{}, badRequest(21604, "A 'To' phone number is required.")
	case from == "" && service == "":
		return SentMessage{}, badRequest(21603, "A 'From' phone number is required.")
	case from != "" && !strings.HasPrefix(from, whatsApp+"+"):
		return SentMessage{}, badRequest(63007, "Twilio could not find a Channel with the specified From address")
	case content == "" && body == "":
		return SentMessage{}, badRequest(21619, "A text message body or media urls must be specified.")
	case content != "" && !strings.HasPrefix(content, "HX"):
		return SentMessage{}, badRequest(21655, "The ContentSid Parameter is invalid.")
	case content == "" && parameter("ContentVariables") != "": // https://www.twilio.com/docs/api/errors/21654
		return SentMessage{}, badRequest(21654, "ContentSid Required")
	case utf8.RuneCountInString(body) > maxTextRunes:
		return SentMessage{}, badRequest(21617, "The concatenated message body exceeds the 1600 character limit")
	}
	if refusal := refuseReceiver(to); refusal != nil {
		return SentMessage{}, refusal
	}
	variables, refusal := parseVariables(parameter("ContentVariables"))
	if refusal != nil {
		return SentMessage{}, refusal
	}
	if from == "" {
		from = service
	}
	return SentMessage{
		From:             strings.TrimPrefix(from, whatsApp),
		To:               strings.TrimPrefix(to, whatsApp),
		ContentSID:       content,
		ContentVariables: variables,
		Body:             body,
	}, nil
}

// NotEnabledFor is a country of user ids that the stand-in's senders can't send to: in June 2026, some senders answered 21211
// to every user id (nyaruka/courier #1083).
const NotEnabledFor = "XX."

// isUserID reports whether a text is a business-scoped user id: two letters of a country, a dot, and 1 to 128 letters and
// digits (Meta, "Business-scoped user IDs").
var isUserID = regexp.MustCompile(`^[A-Z]{2}\.[A-Za-z0-9]{1,128}$`).MatchString

// refuseReceiver refuses a receiver that is neither a WhatsApp number nor a user id (without a plus sign), and Twilio's test
// receivers.
func refuseReceiver(to string) *twilioError {
	if id := strings.TrimPrefix(to, whatsApp); id != to && isUserID(id) && !strings.HasPrefix(id, NotEnabledFor) {
		return nil
	}
	number, ok := strings.CutPrefix(to, whatsApp+"+")
	switch {
	case !ok || number == "" || strings.Trim(number, "0123456789") != "" || number == "15005550001":
		return badRequest(21211, "The 'To' number %s is not a valid phone number.", to)
	case number == "15005550004":
		return badRequest(21610, "Attempt to send to unsubscribed recipient")
	case number == "15005550009":
		return badRequest(21614, "'To' number %s is not a valid mobile number", to)
	}
	return nil
}

// remember keeps the message and returns its number.
func (t *Twilio) remember(message SentMessage) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	message.SID = messageSID(t.accepted + 1)
	if len(t.messages) < maxMessages {
		t.messages = append(t.messages, message)
	} else {
		t.messages[t.accepted%maxMessages] = message
	}
	t.accepted++
	return t.accepted
}

// created returns Twilio's answer to an accepted message.
func created(account string, message SentMessage, parameter func(string) string, at time.Time) map[string]any {
	sid := message.SID
	var errorCode any
	if message.ErrorCode != 0 {
		errorCode = message.ErrorCode
	}
	path := fmt.Sprintf("/2010-04-01/Accounts/%s/Messages/%s", account, sid)
	date := at.Format("Mon, 02 Jan 2006 15:04:05 +0000")
	var service any
	if s := parameter("MessagingServiceSid"); s != "" {
		service = s
	}
	return map[string]any{
		"account_sid":           account,
		"api_version":           "2010-04-01",
		"body":                  parameter("Body"),
		"date_created":          date,
		"date_sent":             nil,
		"date_updated":          date,
		"direction":             "outbound-api",
		"error_code":            errorCode,
		"error_message":         nil,
		"from":                  parameter("From"),
		"messaging_service_sid": service,
		"num_media":             "0",
		"num_segments":          "1",
		"price":                 nil,
		"price_unit":            nil,
		"sid":                   sid,
		"status":                message.Status,
		"subresource_uris":      map[string]string{"media": path + "/Media.json"},
		"to":                    parameter("To"),
		"uri":                   path + ".json",
	}
}
