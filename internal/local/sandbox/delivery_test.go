package sandbox

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

// callbacks has the forms posted to a StatusCallback.
type callbacks struct {
	t       *testing.T
	address string
	answers []int // statuses of the first answers; later answers are 200

	mu    sync.Mutex
	forms []url.Values
}

func receiveCallbacks(t *testing.T, answers ...int) *callbacks {
	t.Helper()
	c := &callbacks{t: t, answers: answers}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.address = server.URL + "/status?kind=welcome"
	return c
}

func (c *callbacks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		c.t.Errorf("reading the callback's form: %v", err)
	}
	if !twilio.ValidSignature(testAccount.AuthToken, c.address, r.PostForm, r.Header.Get("X-Twilio-Signature")) {
		c.t.Errorf("the webhook would refuse the stand-in's callback, which isn't signed as Twilio signs: %v", r.PostForm)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forms = append(c.forms, r.PostForm)
	if n := len(c.forms); n <= len(c.answers) {
		w.WriteHeader(c.answers[n-1])
	}
}

// statuses returns the statuses in alphabetical order, because they come in any order.
func (c *callbacks) statuses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var statuses []string
	for _, form := range c.forms {
		statuses = append(statuses, form.Get("MessageStatus")+form.Get("ErrorCode"))
	}
	slices.Sort(statuses)
	return statuses
}

// send sends a message with a StatusCallback and returns the answer's status.
func send(t *testing.T, address, callback string) int {
	t.Helper()
	form := url.Values{
		"From": {"whatsapp:+966110000000"}, "To": {"whatsapp:+966500000001"}, "Body": {"hello"}, "StatusCallback": {callback},
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		address+"/2010-04-01/Accounts/"+testAccount.SID+"/Messages.json", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(testAccount.SID, testAccount.AuthToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("sending the request: %v", err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		delivery Delivery
		fragment string
		answers  []int
		want     []string
		status   string
		code     int
	}{
		"read":            {prompt(), "", nil, []string{"delivered", "read", "sent"}, "read", 0},
		"never delivered": {Delivery{UnreachedRate: 1, ErrorCode: 63016}, "", nil, []string{"sent"}, "sent", 0},
		"never read":      {Delivery{UnreadRate: 1, ErrorCode: 63016}, "", nil, []string{"delivered", "sent"}, "delivered", 0},
		"undelivered":     {Delivery{UndeliveredRate: 1, ErrorCode: 63024}, "", nil, []string{"sent", "undelivered63024"}, "undelivered", 63024},
		"answered as failed": {
			Delivery{UndeliveredRate: 1, AnsweredFailedRate: 1, ErrorCode: 63016}, "", nil, nil, "failed", 63016,
		},
		"repeated": {
			Delivery{ErrorCode: 63016, CallbackRepeats: 1}, "", nil,
			[]string{"delivered", "delivered", "read", "read", "sent", "sent"}, "read", 0,
		},
		"refused, without overrides":     {Delivery{UndeliveredRate: 1, ErrorCode: 63024}, "", []int{503, 503}, []string{"sent", "undelivered63024"}, "undelivered", 63024},
		"refused, and tried again twice": {Delivery{UndeliveredRate: 1, ErrorCode: 63024}, "#rc=5&rp=all", []int{503, 403}, []string{"sent", "undelivered63024"}, "undelivered", 63024},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			standIn, _, address := setupTwilio(t)
			received := receiveCallbacks(t, test.answers...)
			if err := standIn.SetDelivery(test.delivery); err != nil {
				t.Fatalf("setting the sandbox's deliveries: %v", err)
			}
			if got := send(t, address, received.address+test.fragment); got != http.StatusCreated {
				t.Fatalf("sending a message is answered with %d, want 201", got)
			}
			standIn.Reported()
			want := test.want
			got := received.statuses()
			if test.fragment != "" {
				if len(got) != len(want)+len(test.answers) {
					t.Errorf("there were %d callbacks, want each refused one repeated once: %v", len(got), got)
				}
				got = slices.Compact(got)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the stand-in posts other statuses than Twilio would (-want +got):\n%s", diff)
			}
			if m := standIn.Messages("")[0]; m.Status != test.status || m.ErrorCode != test.code {
				t.Errorf("the stand-in shows the message as %s with the code %d, want %s with %d", m.Status, m.ErrorCode, test.status, test.code)
			}
		})
	}
}

// The stand-in posts callbacks only after their delay, and gives them up when it is closed.
func TestDeliveryIsDelayed(t *testing.T) {
	t.Parallel()
	standIn, _, address := setupTwilio(t)
	received := receiveCallbacks(t)
	if err := standIn.SetDelivery(Delivery{ErrorCode: 63016, CallbackDelayMs: maxLatencyMs}); err != nil {
		t.Fatalf("setting the sandbox's deliveries: %v", err)
	}
	send(t, address, received.address)
	if m := standIn.Messages("")[0]; m.Status != "queued" || len(received.statuses()) != 0 {
		t.Errorf("before the delay, the message is %s, want queued and no callback", m.Status)
	}
	standIn.Close()
	if m := standIn.Messages("")[0]; m.Status != "queued" || len(received.statuses()) != 0 {
		t.Errorf("after the stand-in was closed, the message is %s, want queued and no callback", m.Status)
	}
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, body string
		status       int
		want         string // code in the answer
	}{
		"shown":               {http.MethodGet, "", 200, `{"latencyMs":0,"failRate":0,"status":503,"undeliveredRate":0,"answeredFailedRate":0,"errorCode":63016,"unreachedRate":0,"unreadRate":0,"callbackDelayMs":0,"callbackRepeats":0}`},
		"set":                 {http.MethodPut, `{"undeliveredRate": 0.1, "errorCode": 63032, "callbackDelayMs": 200, "callbackRepeats": 2}`, 200, `"errorCode":63032,"unreachedRate":0,"unreadRate":0,"callbackDelayMs":200,"callbackRepeats":2}`},
		"set, as others":      {http.MethodPut, `{"latencyMs": 5, "failRate": 0.5, "status": 500}`, 200, `{"latencyMs":5,"failRate":0.5,"status":500,"undeliveredRate":0,`},
		"no code":             {http.MethodPut, `{"errorCode": 0}`, 200, `"errorCode":0,`},
		"a rate of 2":         {http.MethodPut, `{"undeliveredRate": 2}`, 400, "undeliveredRate must be between 0 and 1"},
		"nobody's rate":       {http.MethodPut, `{"unreadRate": 1.5}`, 400, "unreadRate must be between 0 and 1"},
		"a rate below 0":      {http.MethodPut, `{"answeredFailedRate": -1}`, 400, "answeredFailedRate must be between 0 and 1"},
		"a code of no errors": {http.MethodPut, `{"errorCode": 3}`, 400, "errorCode must have five digits"},
		"a delay of an hour":  {http.MethodPut, `{"callbackDelayMs": 3600000}`, 400, "callbackDelayMs must be"},
		"too many repeats":    {http.MethodPut, `{"callbackRepeats": 11}`, 400, "callbackRepeats must be"},
		"an unknown field":    {http.MethodPut, `{"undelivered": 1}`, 400, "unknown field"},
		"deleted":             {http.MethodDelete, "", 405, "Only GET and PUT"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			standIn, _, _ := setupTwilio(t)
			w := httptest.NewRecorder()
			standIn.Switch().ServeHTTP(w, httptest.NewRequest(test.method, "/", strings.NewReader(test.body)))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("the switch answers with %d %s, want %d with %s in it", w.Code, w.Body, test.status, test.want)
			}
		})
	}
}

// For a missing variable Twilio fills in the template's sample, which is somebody else's data.
func TestSamplesFillMissingVariables(t *testing.T) {
	t.Parallel()
	standIn, client, _ := setupTwilio(t)
	standIn.Approve("HX1", Template{Body: "{{1}}, {{2}}", Samples: map[string]string{"1": "first sample", "2": "second sample"}})
	_, err := client.Send(t.Context(), testAccount, twilio.Message{
		From: "+966110000000", To: "+966500000001", ContentSID: "HX1", ContentVariables: map[string]string{"1": "given"},
	})
	want := map[string]string{"1": "given", "2": "second sample"}
	if err != nil {
		t.Fatalf("sending the message: %v", err)
	}
	sent := standIn.Messages("")[0]
	if diff := cmp.Diff(want, sent.ContentVariables); diff != "" {
		t.Errorf("the message has other variables than Twilio would send (-want +got):\n%s", diff)
	}
	if sent.Text != "given, second sample" {
		t.Errorf("the customer reads %q, want the template's text with these variables", sent.Text)
	}
}
