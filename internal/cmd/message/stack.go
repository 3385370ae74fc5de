package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

const (
	requestTimeout = 30 * time.Second
	maxAnswer      = 16 << 20
	webhookPath    = "/webhooks/whatsapp"
	messagesPath   = "/sandbox/messages"
	pollInterval   = 50 * time.Millisecond
)

// stack is the local stack that messages are delivered to.
type stack struct {
	url, token string
	client     *http.Client
}

// received is a message to the customer, as the sandbox's Twilio shows it.
type received struct {
	At               string            `json:"at"`
	From             string            `json:"from"`
	To               string            `json:"to"`
	ContentSID       string            `json:"contentSid"`
	ContentVariables map[string]string `json:"contentVariables"`
	Body             string            `json:"body"`
	Text             string            `json:"text,omitempty"` // a template's, with its variables
	ListPicker       *listPicker       `json:"listPicker,omitempty"`
}

// listPicker is a list with rows for the customer to tap.
type listPicker struct {
	Body   string     `json:"body"`
	Button string     `json:"button"`
	Items  []listItem `json:"items"`
}

type listItem struct {
	Item        string `json:"item"`
	ID          string `json:"id"`
	Description string `json:"description"`
}

// deliver posts the form. It returns the answer and the messages that the customer got after that, oldest first. The function
// sends before it answers. If the customer got none, another delivery of the message may be sending, so deliver waits.
func (s stack) deliver(ctx context.Context, form url.Values, wait time.Duration) (report, error) {
	customer := strings.TrimPrefix(form.Get("From"), "whatsapp:")
	before, err := s.messages(ctx, customer)
	if err != nil {
		return report{}, err
	}
	r := report{MessageID: form.Get("MessageSid")}
	start := time.Now()
	if r.Status, r.Answer, err = s.post(ctx, form); err != nil {
		return report{}, err
	}
	r.DurationMS = float64(time.Since(start).Microseconds()) / 1000
	for deadline := time.Now().Add(wait); ; {
		after, err := s.messages(ctx, customer)
		if err != nil {
			return report{}, err
		}
		r.Received = slices.Clone(after[:max(0, len(after)-len(before))])
		if len(r.Received) > 0 || r.Status != http.StatusOK || !time.Now().Before(deadline) {
			slices.Reverse(r.Received)
			return r, nil
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return report{}, ctx.Err()
		}
	}
}

// post signs and posts the form, and returns the answer.
func (s stack) post(ctx context.Context, form url.Values) (status int, answer string, err error) {
	address := s.url + webhookPath
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Twilio-Signature", twilio.Signature(s.token, address, form))
	return s.do(request)
}

// messages returns the messages to the customer so far, newest first.
func (s stack) messages(ctx context.Context, to string) ([]received, error) {
	address := s.url + messagesPath + "?" + url.Values{"to": {to}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	status, answer, err := s.do(request)
	if err != nil {
		return nil, err
	}
	var messages []received
	if err := json.Unmarshal([]byte(answer), &messages); status != http.StatusOK || err != nil {
		return nil, fmt.Errorf("%s does not list sent messages (status %d): it is not a local stack", s.url, status)
	}
	return messages, nil
}

func (s stack) do(request *http.Request) (status int, body string, err error) {
	response, err := s.client.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("the local stack does not answer (start it with 'make dev'): %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, "", fmt.Errorf("reading the answer: %w", err)
	}
	return response.StatusCode, string(answer), nil
}
