// Package twilio sends WhatsApp messages over Twilio's Messages API and verifies the signatures of Twilio's webhooks.
package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/outbound"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// Defaults of a Config.
const (
	DefaultBaseURL = "https://api.twilio.com"
	DefaultTimeout = 5 * time.Second
)

// channel is put in front of the numbers of WhatsApp's users and senders.
const channel = "whatsapp:"

// maxAnswer bounds the part of an answer that is read; Twilio's take about 1 KiB.
const maxAnswer = 64 << 10

// Config says how to reach Twilio.
type Config struct {
	BaseURL    string        // "" takes DefaultBaseURL
	HTTPClient *http.Client  // nil takes outbound.NewTransport; its CheckRedirect is not used
	Timeout    time.Duration // of one call, where its context doesn't end earlier; 0 takes DefaultTimeout
}

// Account sends, and pays.
type Account struct {
	SID       string // AC and 32 hexadecimal digits
	AuthToken string
}

// Message is one WhatsApp message: a content template, or a text. The numbers are in E.164, "whatsapp:" being added
// where it is missing.
type Message struct {
	From                string            // the sender; may be "" with a MessagingServiceSID
	To                  string            // the receiver
	MessagingServiceSID string            // picks the sender, where it is given
	ContentSID          string            // the template
	ContentVariables    map[string]string // the template's, by their numbers
	Body                string            // the text of a message without a template, at most 1,600 characters
	StatusCallback      string            // where its statuses are reported to; "" is nowhere
}

// Client calls the Messages API. It is safe for concurrent use.
type Client struct {
	baseURL string
	http    *http.Client
	timeout time.Duration
}

// New returns a client, or an error that describes the config's fault.
func New(config Config) (*Client, error) {
	if config.BaseURL == "" {
		config.BaseURL = DefaultBaseURL
	}
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Timeout < 0 {
		return nil, errors.New("the time-out is negative")
	}
	baseURL, err := outbound.ParseBaseURL(config.BaseURL)
	if err != nil {
		return nil, err
	}
	client := outbound.NewClient(config.HTTPClient, outbound.NoRedirect)
	return &Client{baseURL: baseURL, http: client, timeout: config.Timeout}, nil
}

// Send asks Twilio to send the message and returns its SID. Having accepted it, Twilio sends it later; whether it
// arrives is told in status callbacks. The SID is "" if Twilio accepted the message and the rest of its answer was
// lost: an error would have it sent twice.
//
// The error is an *Error. After a time-out or a broken connection Twilio may still have accepted the message, so nothing
// here sends it again: the caller decides whether twice is better than never. A message that Twilio takes and calls failed at
// once has both a SID and an error.
func (c *Client) Send(ctx context.Context, account Account, message Message) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, failure := c.request(ctx, account, message)
	if failure != nil {
		return "", failure
	}
	defer timing.Start(ctx, timing.Twilio)()
	response, err := c.http.Do(request)
	if err != nil {
		return "", &Error{Err: outbound.Cause(err)}
	}
	defer outbound.Close(response)
	body, err := outbound.ReadBody(response, maxAnswer)
	if response.StatusCode == http.StatusCreated {
		return taken(body)
	}
	_, basic, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	failure = parseError(response.StatusCode, response.Header, body, account.AuthToken, basic)
	failure.Err = err
	return "", failure
}

// request returns the call that sends the message, or says why there can't be one.
func (c *Client) request(ctx context.Context, account Account, message Message) (*http.Request, *Error) {
	if !alphanumeric(account.SID) || account.AuthToken == "" {
		return nil, &Error{Err: errCredentials}
	}
	form, err := message.form()
	if err != nil {
		return nil, &Error{Err: fmt.Errorf("%w: %w", errMessage, err)}
	}
	address := c.baseURL + "/2010-04-01/Accounts/" + account.SID + "/Messages.json"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, &Error{Err: outbound.Cause(err)}
	}
	request.SetBasicAuth(account.SID, account.AuthToken)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	return request, nil
}

// form returns the parameters of the message. Its error doesn't repeat the numbers.
func (m Message) form() (url.Values, error) {
	to := strings.TrimPrefix(m.To, channel)
	if !e164(to) && !customer.IsUserID(to) {
		return nil, errors.New("the receiver is neither a number in E.164 nor a user id")
	}
	form := url.Values{"To": {customer.Address(to)}}
	if m.From != "" {
		from := strings.TrimPrefix(m.From, channel)
		if !e164(from) {
			return nil, errors.New("the sender's number is not in E.164")
		}
		form.Set("From", channel+from)
	}
	if m.MessagingServiceSID != "" {
		form.Set("MessagingServiceSid", m.MessagingServiceSID)
	}
	if m.From == "" && m.MessagingServiceSID == "" {
		return nil, errors.New("no sender")
	}
	if m.StatusCallback != "" {
		form.Set("StatusCallback", m.StatusCallback)
	}
	if m.ContentSID == "" {
		if m.Body == "" {
			return nil, errors.New("neither a template nor a text")
		}
		form.Set("Body", m.Body)
		return form, nil
	}
	form.Set("ContentSid", m.ContentSID)
	if len(m.ContentVariables) > 0 {
		variables, err := json.Marshal(m.ContentVariables)
		if err != nil {
			return nil, fmt.Errorf("encoding the variables: %w", err)
		}
		form.Set("ContentVariables", string(variables))
	}
	return form, nil
}

// e164 says whether the number is a plus sign and 7 to 15 digits, the first one not 0.
func e164(number string) bool {
	digits, plus := strings.CutPrefix(number, "+")
	return plus && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}

// alphanumeric says whether the SID is one, and can therefore be a part of a path.
func alphanumeric(sid string) bool {
	for _, c := range []byte(sid) {
		if letter := c | 0x20; (letter < 'a' || letter > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return sid != ""
}

// taken returns the SID of a message that Twilio took, "" if there is none, and an *Error if it failed at once: its answer
// is 201 all the same, with the status and the error's code in the message (https://www.twilio.com/docs/messaging/api/message-resource).
func taken(body []byte) (string, error) {
	var answer struct {
		SID       string `json:"sid"`
		Status    string `json:"status"`
		ErrorCode int    `json:"error_code"`
		Message   string `json:"error_message"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return sid(body), nil // an unreadable answer is no proof of a failure
	}
	if delivery.ParseStatus(answer.Status) == delivery.Failed {
		return answer.SID, &Error{StatusCode: http.StatusCreated, Code: answer.ErrorCode, Message: printable(answer.Message), Failed: true}
	}
	return answer.SID, nil
}

// sid returns the SID in an answer; "" if there is none.
func sid(body []byte) string {
	var answer struct {
		SID string `json:"sid"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return answer.SID
}
