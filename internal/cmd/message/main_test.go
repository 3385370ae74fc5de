package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

// local is the part of a local stack that the command uses: a webhook that answers with a text, and the customers' messages.
type local struct {
	*httptest.Server
	twilio *sandbox.Twilio
	client *twilio.Client
	status int
	delay  time.Duration // before the text is sent, after the webhook has answered
	last   *http.Request // with its form parsed
	taken  atomic.Int64
	late   sync.WaitGroup // texts that are still to be sent
}

func serve(t *testing.T) *local {
	t.Helper()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	l := &local{twilio: sandbox.NewTwilio(func() time.Time { return now }, rand.Float64), status: http.StatusOK}
	mux := http.NewServeMux()
	mux.Handle("/twilio/", http.StripPrefix("/twilio", l.twilio))
	mux.HandleFunc("GET "+messagesPath, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(l.twilio.Messages(r.URL.Query().Get("to")))
	})
	mux.HandleFunc("POST "+webhookPath, func(w http.ResponseWriter, r *http.Request) { l.receive(t, w, r) })
	l.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		l.late.Wait()
		l.Close()
	})
	var err error
	if l.client, err = twilio.New(twilio.Config{BaseURL: l.URL + "/twilio"}); err != nil {
		t.Fatalf("making the Twilio client: %v", err)
	}
	return l
}

func (l *local) receive(t *testing.T, w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		t.Errorf("reading the posted form: %v", err)
	}
	l.last = r
	l.taken.Add(1)
	if !twilio.ValidSignature(defaultToken, l.URL+webhookPath, r.PostForm, r.Header.Get("X-Twilio-Signature")) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":"not signed"}`)
		return
	}
	if l.status == http.StatusOK {
		if l.delay > 0 {
			l.late.Go(func() {
				time.Sleep(l.delay)
				l.send(t, r)
			})
		} else {
			l.send(t, r)
		}
	}
	w.WriteHeader(l.status)
	_, _ = io.WriteString(w, "<Response/>")
}

// send sends two messages. It doesn't use the test's context, because the command may finish after the first.
func (l *local) send(t *testing.T, r *http.Request) {
	ctx := context.WithoutCancel(t.Context())
	for _, m := range []twilio.Message{
		{ContentSID: "HX1", ContentVariables: map[string]string{"2": "سارة", "1": "Example"}},
		{Body: "one\ntwo"},
	} {
		m.From, m.To = r.PostForm.Get("To"), r.PostForm.Get("From")
		if _, err := l.client.Send(ctx, twilio.Account{SID: "AC1", AuthToken: "x"}, m); err != nil {
			t.Errorf("sending the message: %v", err)
		}
	}
}

const sender = "+966500000001"

func TestText(t *testing.T) {
	t.Parallel()
	l := serve(t)
	var out strings.Builder
	err := run(t.Context(), []string{"-url", l.URL + "/", "-from", "00966 50 000 0001", "-body", "hello", "-id", "SM1"}, &out)
	if err != nil {
		t.Fatalf("running the command: %v", err)
	}
	got := regexp.MustCompile(`[0-9.]+ ms`).ReplaceAllString(out.String(), "N ms")
	want := `200 OK after N ms, message SM1
<Response/>

The customer received from +966110000000:
  template HX1
    1: Example
    2: سارة

The customer received from +966110000000:
  one
  two
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	form := map[string]string{
		"MessageSid": "SM1", "SmsMessageSid": "SM1", "NumMedia": "0", "From": "whatsapp:" + sender,
		"To": "whatsapp:+966110000000", "WaId": "966500000001", "Body": "hello",
	}
	posted := make(map[string]string)
	for name := range l.last.PostForm {
		posted[name] = l.last.PostForm.Get(name)
	}
	if diff := cmp.Diff(form, posted); diff != "" {
		t.Errorf("posted (-want +got):\n%s", diff)
	}
}

// TestTemplateIsShownAsTheCustomerReadsIt: the welcome's words are printed, not only its variables, if the stack knows them.
func TestTemplateIsShownAsTheCustomerReadsIt(t *testing.T) {
	t.Parallel()
	m := received{ContentSID: "HX1", ContentVariables: map[string]string{"1": "Example"}, Text: "Welcome\nto Example"}
	var out strings.Builder
	m.describe(&out)
	if want := "  Welcome\n  to Example\n  (template HX1)\n"; out.String() != want {
		t.Errorf("a template is printed as %q, want %q", &out, want)
	}
}

// TestJSON: the report has only new messages, although the customer has older ones too.
func TestJSON(t *testing.T) {
	t.Parallel()
	l := serve(t)
	args := []string{"-json", "-url", l.URL, "-from", sender, "-body", "hello", "-button", "browse_menu", "-profile", "Sara"}
	for i := range 2 {
		var out strings.Builder
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatalf("running the command: %v", err)
		}
		var got report
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
			t.Fatalf("printed %q: %v", out.String(), err)
		}
		if got.Status != 200 || len(got.Received) != 2 || got.Received[1].Body != "one\ntwo" || got.Received[0].To != sender ||
			!regexp.MustCompile(`^SM[0-9a-f]{32}$`).MatchString(got.MessageID) {
			t.Errorf("delivery %d: %+v", i, got)
		}
	}
	for name, want := range map[string]string{"ButtonPayload": "browse_menu", "ButtonText": "hello", "ProfileName": "Sara"} {
		if got := l.last.PostForm.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestLateMessages: the command waits for messages that are sent after the webhook's answer.
func TestLateMessages(t *testing.T) {
	t.Parallel()
	l := serve(t)
	l.delay = 100 * time.Millisecond
	var out strings.Builder
	if err := run(t.Context(), []string{"-url", l.URL, "-from", sender, "-body", "hello", "-wait", "20s"}, &out); err != nil {
		t.Fatalf("running the command: %v", err)
	}
	if !strings.Contains(out.String(), "template HX1") {
		t.Errorf("printed %s", out.String())
	}
}

func TestNotTaken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		args   []string
		want   string
	}{
		"unavailable":     {503, nil, "503 Service Unavailable after"},
		"another's token": {200, []string{"-token", "wrong"}, "403 Forbidden after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := serve(t)
			l.status = test.status
			var out strings.Builder
			err := run(t.Context(), append([]string{"-url", l.URL, "-from", sender, "-body", "hello", "-wait", "1h"}, test.args...), &out)
			if !errors.Is(err, errRefused) || !strings.HasPrefix(out.String(), test.want) || !strings.Contains(out.String(), "received nothing") {
				t.Errorf("error %v, printed %s", err, out.String())
			}
		})
	}
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	l := serve(t)
	for args, want := range map[string]string{
		"":                                       "-body, -button or -list",
		"-body hello":                            `-from "`,
		"-body hello -from 0500000001":           `-from "`,
		"-body hello -from " + sender + " -to x": `-to "`,
		"-body hello -from " + sender + " -wait -1s":  "-wait must not",
		"-body hello -from " + sender + " -url x":     "-url must be",
		"-body hello -from " + sender + " more":       "unexpected argument",
		"-body hello -from " + sender + " -wait soon": "invalid value",
	} {
		err := run(t.Context(), strings.Fields(fmt.Sprintf("-url %s %s", l.URL, args)), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", args, err, want)
		}
	}
	if l.taken.Load() > 0 {
		t.Error("a message was posted")
	}
}

func TestNoStack(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for address, want := range map[string]string{other.URL: "not a local stack", gone.URL: "the local stack does not answer"} {
		err := run(t.Context(), []string{"-url", address, "-from", sender, "-body", "hello"}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
