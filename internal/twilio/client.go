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

// The values of a Config's zero fields.
const (
	DefaultBaseURL = "https://api.twilio.com"
	DefaultTimeout = 5 * time.Second
)

// channel is the prefix of WhatsApp's numbers at Twilio.
const channel = "whatsapp:"

// maxAnswer bounds the part of an answer that is read, in bytes. Twilio's answers have about 1 KiB.
const maxAnswer = 64 << 10

// Config has Twilio's address and the limits of calls.
type Config struct {
	BaseURL    string        // "" means DefaultBaseURL
	HTTPClient *http.Client  // nil means outbound.NewTransport; its CheckRedirect is not used
	Timeout    time.Duration // of a call, unless its context ends earlier; 0 means DefaultTimeout
}

// Account is the account that sends a message and pays for it.
type Account struct {
	SID       string // AC and 32 hexadecimal digits
	AuthToken string
}

// Message is a WhatsApp message: a template or a text. Its numbers are in E.164 form, with or without "whatsapp:".
type Message struct {
	From                string            // the sender; may be "" with a MessagingServiceSID
	To                  string            // the receiver
	MessagingServiceSID string            // chooses the sender, if it is set
	ContentSID          string            // of the template
	ContentVariables    map[string]string // of the template, by their numbers
	Body                string            // the text of a message without a template, at most 1,600 characters
	StatusCallback      string            // address for status callbacks; "" means none
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

// Send asks Twilio to send the message and returns its SID. Twilio then sends it later, and status callbacks tell whether it
// arrived. If Twilio accepted the message but its answer was cut off, the SID is "" and there is no error, which would make
// the caller send the message again.
//
// The error is an *Error. After a time-out or a broken connection, Twilio may still have accepted the message. So Send
// doesn't repeat it: the caller decides whether twice is better than never. If Twilio takes a message and says that it failed
// at once, Send returns both a SID and an error.
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

// request returns the HTTP request that sends the message, or the reason that the message is invalid.
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

// e164 reports whether the number is a plus sign and 7 to 15 digits, the first of them not 0.
func e164(number string) bool {
	digits, plus := strings.CutPrefix(number, "+")
	return plus && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}

// alphanumeric reports whether a SID has only letters and digits, so that it can be part of a path.
func alphanumeric(sid string) bool {
	for _, c := range []byte(sid) {
		if letter := c | 0x20; (letter < 'a' || letter > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return sid != ""
}

// taken returns the SID of a message that Twilio took, "" if the answer has none. If the message failed at once, it also
// returns an *Error: the answer is 201 all the same, and has the status and the error code
// (https://www.twilio.com/docs/messaging/api/message-resource).
func taken(body []byte) (string, error) {
	var answer struct {
		SID       string `json:"sid"`
		Status    string `json:"status"`
		ErrorCode int    `json:"error_code"`
		Message   string `json:"error_message"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return sid(body), nil // an unreadable answer doesn't prove a failure
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
