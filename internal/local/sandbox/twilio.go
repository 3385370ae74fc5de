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
	// maxMessages is how many of the latest messages Twilio's stand-in remembers.
	maxMessages = 10_000

	// maxTextRunes is how long a WhatsApp message may be.
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
	// ListPicker is shown by contents made over the Content API, and absent from all others.
	ListPicker *ListPicker `json:"listPicker,omitempty"`
	SID        string      `json:"sid"`
	Status     string      `json:"status"`    // the furthest so far
	ErrorCode  int         `json:"errorCode"` // of a message that failed; else 0
}

// Twilio stands in for Twilio's Messages API: POST /2010-04-01/Accounts/{sid}/Messages.json. It accepts any account and token,
// remembers the messages that it was asked to send, and reports each message's statuses to its StatusCallback, according to its
// Delivery. Like Twilio, it refuses Twilio's test receivers: +15005550001 is no valid number, +15005550004 has unsubscribed,
// and +15005550009 is no mobile.
//
// A content made over the Content API can be sent only by its own account, while it exists. A customer known to have written
// gets it only within 24 hours.
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
	approved map[string]Template  // by SID; nil: every SID that wasn't made here is taken for an approved template's
	wrote    map[string]time.Time // time of each customer's latest message, by the customer's address and the receiver's
	accepted int                  // messages ever
	messages []SentMessage        // a ring: message n is at n modulo maxMessages
}

// NewTwilio returns a stand-in that takes the time of messages from now, and the luck of its calls from random, which
// NewFault describes.
func NewTwilio(now func() time.Time, random func() float64) *Twilio {
	var luck sync.Mutex // one source for two faults
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

// ServeHTTP answers as Twilio would, or as the fault says.
func (t *Twilio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.handler.ServeHTTP(w, r)
}

// Fault returns the fault of the stand-in's calls; a failed call has sent nothing.
func (t *Twilio) Fault() *Fault {
	return t.fault
}

// Contents returns the stand-in of the Content API.
func (t *Twilio) Contents() *Contents { return t.contents }

// Wrote notes that a customer wrote to a number just now. Addresses are as in webhooks.
func (t *Twilio) Wrote(from, to string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.wrote) >= maxMessages {
		clear(t.wrote)
	}
	t.wrote[from+" "+to] = t.now()
}

// Messages returns the messages to the number, with "whatsapp:" in front or not, or all with "", the newest first and at
// most the latest 10,000. A plus sign that a query turned into a space is understood.
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

// twilioError is the form of Twilio's errors.
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

// writeTwilioFailure writes the error that Twilio answers with the status.
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

// create takes one message.
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

// attach adds a made content's list, or refuses to send it. Twilio reports 63016 in a status callback
// (https://www.twilio.com/docs/api/errors/63016), the stand-in at once.
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

// parseMessage reads a message from its parameters, or refuses it as Twilio does.
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

// NotEnabledFor is the country of user ids that the stand-in's senders can't send to yet: some senders answered 21211 to every
// user id in June 2026 (nyaruka/courier #1083).
const NotEnabledFor = "XX."

// isUserID reports whether a text is a business-scoped user id: two letters of a country, a dot, and 1 to 128 letters and
// digits (Meta, "Business-scoped user IDs").
var isUserID = regexp.MustCompile(`^[A-Z]{2}\.[A-Za-z0-9]{1,128}$`).MatchString

// refuseReceiver refuses receivers that are neither a WhatsApp number nor a user id (without a plus sign), and Twilio's test
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

// created returns Twilio's answer to a message that it accepted.
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
