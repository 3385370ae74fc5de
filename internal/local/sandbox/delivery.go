package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Delivery decides the fate of messages that Twilio takes.
type Delivery struct {
	UndeliveredRate float64 `json:"undeliveredRate"` // share of messages that end as undelivered, 0 to 1
	// AnsweredFailedRate is the share of the failing messages that fail at once: they are answered with 201 and the status
	// failed, and have no callback, since "a status callback request is not sent for the initial status" (Twilio, "Outbound
	// Message Status in Status Callbacks").
	AnsweredFailedRate float64 `json:"answeredFailedRate"`
	ErrorCode          int     `json:"errorCode"` // of the failing messages; 0 is none
	// UnreachedRate is the share of the other messages that stay sent, as if the telephone were switched off. UnreadRate is
	// the share of the delivered messages that stay delivered: unread, or read without read receipts.
	UnreachedRate   float64 `json:"unreachedRate"`
	UnreadRate      float64 `json:"unreadRate"`
	CallbackDelayMs float64 `json:"callbackDelayMs"` // time from the answer to the callbacks, 0 to 60,000
	CallbackRepeats int     `json:"callbackRepeats"` // further times that each callback is posted, 0 to 10
}

const (
	maxCallbackRepeats = 10
	maxCallbackURL     = 4000
	maxCallbackTries   = 5
	// retryFor is how long Twilio tries a callback, all attempts together (Twilio, "Webhooks: Connection Overrides", tt).
	retryFor        = 15 * time.Second
	callbackPause   = 100 * time.Millisecond // before the first retry; doubled before each further one
	callbackTimeout = 5 * time.Second
	callbacksAtOnce = 32
)

// prompt returns the initial values, which omitted fields have too.
func prompt() Delivery { return Delivery{ErrorCode: 63016} }

func (d Delivery) validate() error {
	var faults []error
	for name, rate := range map[string]float64{
		"undeliveredRate": d.UndeliveredRate, "answeredFailedRate": d.AnsweredFailedRate, "unreachedRate": d.UnreachedRate, "unreadRate": d.UnreadRate,
	} {
		if !(rate >= 0 && rate <= 1) {
			faults = append(faults, fmt.Errorf("%s must be between 0 and 1", name))
		}
	}
	if d.ErrorCode != 0 && (d.ErrorCode < 10000 || d.ErrorCode > 99999) {
		faults = append(faults, errors.New("errorCode must have five digits, or be 0 for none"))
	}
	if !(d.CallbackDelayMs >= 0 && d.CallbackDelayMs <= maxLatencyMs) {
		faults = append(faults, fmt.Errorf("callbackDelayMs must be between 0 and %d", maxLatencyMs))
	}
	if d.CallbackRepeats < 0 || d.CallbackRepeats > maxCallbackRepeats {
		faults = append(faults, fmt.Errorf("callbackRepeats must be between 0 and %d", maxCallbackRepeats))
	}
	return errors.Join(faults...)
}

// SetDelivery changes the fate of messages that are sent from now on.
func (t *Twilio) SetDelivery(d Delivery) error {
	if err := d.validate(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delivery = d
	return nil
}

// twilioBehavior has all settings of the stand-in.
type twilioBehavior struct {
	Behavior
	Delivery
}

func (t *Twilio) behavior() twilioBehavior {
	t.mu.Lock()
	defer t.mu.Unlock()
	return twilioBehavior{t.fault.Behavior(), t.delivery}
}

// Switch is an http.Handler that shows Twilio's settings (GET), or replaces all of them (PUT, in the same form).
func (t *Twilio) Switch() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			showBehavior(w, r, t.behavior())
			return
		}
		set := twilioBehavior{healthy(), prompt()}
		err := readBehavior(http.MaxBytesReader(w, r.Body, maxBehaviorBytes), &set)
		if err == nil {
			err = errors.Join(set.Behavior.validate(), set.Delivery.validate())
		}
		if err == nil {
			err = errors.Join(t.fault.Set(set.Behavior), t.SetDelivery(set.Delivery))
		}
		answerBehavior(w, t.behavior(), err)
	})
}

// outcome is the fate of a message.
type outcome struct {
	initial  string   // the status in the answer to the request
	later    []string // the statuses in callbacks, in order
	code     int      // error code of a failure
	delay    time.Duration
	repeated int
}

// answered reports whether the answer to the request already has the failure.
func (o outcome) answered() bool { return o.initial == statusFailed }

// Statuses of messages (https://www.twilio.com/docs/messaging/api/message-resource, "Message Status values").
const (
	statusQueued      = "queued"
	statusSent        = "sent"
	statusDelivered   = "delivered"
	statusRead        = "read"
	statusFailed      = "failed"
	statusUndelivered = "undelivered"
)

func (t *Twilio) outcome() outcome {
	t.mu.Lock()
	d := t.delivery
	t.mu.Unlock()
	o := outcome{
		initial: statusQueued, later: []string{statusSent, statusDelivered, statusRead},
		delay: time.Duration(d.CallbackDelayMs * float64(time.Millisecond)), repeated: d.CallbackRepeats,
	}
	happens := func(rate float64) bool { return rate > 0 && t.random() < rate }
	if !happens(d.UndeliveredRate) {
		switch {
		case happens(d.UnreachedRate):
			o.later = o.later[:1]
		case happens(d.UnreadRate):
			o.later = o.later[:2]
		}
		return o
	}
	o.code, o.later = d.ErrorCode, []string{statusSent, statusUndelivered}
	if happens(d.AnsweredFailedRate) {
		o.initial, o.later = statusFailed, nil
	}
	return o
}

// report has the address for a message's statuses and the key that signs them.
type report struct {
	callback                 *url.URL // nil if the message named none
	account, token, from, to string
}

// reports tracks the running callbacks.
type reports struct {
	client  *http.Client
	context context.Context // ends when the stand-in is closed
	stop    context.CancelFunc
	room    chan struct{}

	mu      sync.Mutex
	pending int
	idle    *sync.Cond // signalled when pending is 0
	posted  []func()   // for Replay: post the callbacks of the first maxMessages messages
}

func newReports() *reports {
	ctx, stop := context.WithCancel(context.Background())
	r := &reports{
		client:  &http.Client{Timeout: callbackTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: callbacksAtOnce}},
		context: ctx, stop: stop, room: make(chan struct{}, callbacksAtOnce),
	}
	r.idle = sync.NewCond(&r.mu)
	return r
}

// start runs f in the background. A WaitGroup couldn't be used here: messages are sent while others wait for it.
func (r *reports) start(f func()) {
	r.mu.Lock()
	r.pending++
	r.mu.Unlock()
	go func() {
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.pending--; r.pending == 0 {
				r.idle.Broadcast()
			}
		}()
		f()
	}()
}

func (r *reports) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.pending > 0 {
		r.idle.Wait()
	}
}

// PostThrough sets the transport of callbacks. Call it while no messages are sent.
func (t *Twilio) PostThrough(transport http.RoundTripper) { t.reports.client.Transport = transport }

// Close gives up the running callbacks.
func (t *Twilio) Close() {
	t.reports.stop()
	t.reports.wait()
	t.reports.client.CloseIdleConnections()
}

// Reported waits until all callbacks of the messages sent so far were answered or given up.
func (t *Twilio) Reported() { t.reports.wait() }

// parseCallback parses a StatusCallback: a complete URL of at most 4,000 characters, without an underscore in its host
// (https://www.twilio.com/docs/api/errors/21609).
func parseCallback(raw string) (*url.URL, *twilioError) {
	if raw == "" {
		return nil, nil
	}
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxCallbackURL || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Contains(u.Hostname(), "_") {
		return nil, badRequest(21609, "The StatusCallback URL %s is not a valid URL.", raw)
	}
	return u, nil
}

// report sets a message's last status after the delay, and posts the callbacks of all its statuses. All callbacks start at
// the same time, because Twilio promises no order
// (https://www.twilio.com/docs/messaging/guides/track-outbound-message-status).
func (t *Twilio) report(number int, r report, o outcome) {
	if len(o.later) == 0 {
		return
	}
	t.reports.start(func() {
		if !t.pause(o.delay) {
			return
		}
		t.advance(number, o.later[len(o.later)-1], o.code)
		if r.callback == nil {
			return
		}
		for _, status := range o.later {
			post := func() { t.post(r, messageSID(number), status, o.code) }
			t.reports.keep(post)
			for range 1 + o.repeated {
				t.reports.start(post)
			}
		}
	})
}

// keep remembers a callback for Replay.
func (r *reports) keep(post func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.posted) < 3*maxMessages {
		r.posted = append(r.posted, post)
	}
}

// Replay posts all callbacks once more, like an attacker who recorded them.
func (t *Twilio) Replay() {
	t.reports.mu.Lock()
	posted := slices.Clone(t.reports.posted)
	t.reports.mu.Unlock()
	for _, post := range posted {
		t.reports.start(post)
	}
	t.Reported()
}

func (t *Twilio) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-t.reports.context.Done():
		return false
	case <-timer.C:
		return true
	}
}

// advance sets a message's status.
func (t *Twilio) advance(number int, status string, code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := number - 1; n >= t.accepted-maxMessages {
		t.messages[n%maxMessages].Status, t.messages[n%maxMessages].ErrorCode = status, code
	}
}

// post posts one callback. Only the URL's fragment asks for retries (Twilio, "Webhooks: Connection Overrides": rc is their
// number, rp=all or 5xx the answers that cause them). The fragment is neither sent nor signed.
func (t *Twilio) post(r report, sid, status string, code int) {
	t.reports.room <- struct{}{}
	defer func() { <-t.reports.room }()
	overrides, _ := url.ParseQuery(r.callback.Fragment)
	tries, _ := strconv.Atoi(overrides.Get("rc"))
	target := *r.callback
	target.Fragment = ""
	form := statusForm(r, sid, status, code)
	deadline := time.Now().Add(retryFor)
	for try, wait := 0, callbackPause; ; try, wait = try+1, 2*wait {
		answer := t.postOnce(target.String(), r.token, form)
		retryable := answer == 0 || answer >= 500 && overrides.Get("rp") != "" || answer >= 400 && overrides.Get("rp") == "all"
		if !retryable || try >= min(tries, maxCallbackTries) || time.Now().Add(wait).After(deadline) || !t.pause(wait) {
			return
		}
	}
}

// statusForm is Twilio's form for a status, with WhatsApp's additional parameters.
func statusForm(r report, sid, status string, code int) url.Values {
	form := url.Values{
		"AccountSid": {r.account}, "ApiVersion": {"2010-04-01"}, "ChannelInstallSid": {"XE" + sid[2:]}, "ChannelPrefix": {"whatsapp"},
		"ChannelToAddress": {strings.TrimPrefix(r.to, whatsApp)}, "From": {r.from}, "MessageSid": {sid}, "MessageStatus": {status},
		"SmsSid": {sid}, "SmsStatus": {status}, "StructuredMessage": {"false"}, "To": {r.to},
	}
	switch status {
	case statusDelivered, statusRead:
		form.Set("EventType", strings.ToUpper(status))
	case statusUndelivered, statusFailed:
		if code != 0 {
			form.Set("ErrorCode", strconv.Itoa(code))
		}
		form.Set("EventType", "UNDELIVERED")
	}
	return form
}

// postOnce posts a form once and returns the answer's status, 0 if there is no answer.
func (t *Twilio) postOnce(target, token string, form url.Values) int {
	request, err := http.NewRequestWithContext(t.reports.context, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	request.Header.Set("X-Twilio-Signature", sign(token, target, form))
	response, err := t.reports.client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxFormBytes))
	return response.StatusCode
}

// sign returns Twilio's signature of a form without repeated names (https://www.twilio.com/docs/usage/security). It is a
// second implementation, so that a mistake in the product's own is noticed.
func sign(token, target string, form url.Values) string {
	text := target
	for _, name := range slices.Sorted(maps.Keys(form)) {
		text += name + form.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func messageSID(number int) string { return fmt.Sprintf("SM%032x", number) }
