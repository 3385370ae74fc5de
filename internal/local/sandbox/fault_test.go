package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// luck returns a source of random numbers that is the same in every run.
func luck() func() float64 {
	return rand.New(rand.NewPCG(1, 2)).Float64
}

func TestFaultInterface(t *testing.T) {
	t.Parallel()
	defaults := Behavior{Status: 503}
	tests := map[string]struct {
		method, body string
		wantStatus   int
		want         Behavior // the behavior after the call
	}{
		"GET":                      {http.MethodGet, "", 200, defaults},
		"PUT":                      {http.MethodPut, `{"latencyMs": 5, "failRate": 0.25, "status": 429}`, 200, Behavior{5, 0.25, 429}},
		"PUT of a part":            {http.MethodPut, `{"failRate": 1}`, 200, Behavior{0, 1, 503}},
		"PUT of nothing":           {http.MethodPut, `{}`, 200, defaults},
		"PUT of the largest":       {http.MethodPut, `{"latencyMs": 60000, "failRate": 1.0, "status": 599}`, 200, Behavior{60000, 1, 599}},
		"PUT without a body":       {http.MethodPut, ``, 400, defaults},
		"PUT of a list":            {http.MethodPut, `[]`, 400, defaults},
		"PUT of an unknown field":  {http.MethodPut, `{"latency": 5}`, 400, defaults},
		"PUT of another type":      {http.MethodPut, `{"latencyMs": "5"}`, 400, defaults},
		"PUT of a fraction":        {http.MethodPut, `{"latencyMs": 5.0, "status": 500}`, 200, Behavior{LatencyMs: 5, Status: 500}},
		"PUT of a negative time":   {http.MethodPut, `{"latencyMs": -1}`, 400, defaults},
		"PUT of a long time":       {http.MethodPut, `{"latencyMs": 60001}`, 400, defaults},
		"PUT of a negative rate":   {http.MethodPut, `{"failRate": -0.1}`, 400, defaults},
		"PUT of a rate in percent": {http.MethodPut, `{"failRate": 30}`, 400, defaults},
		"PUT of a success":         {http.MethodPut, `{"failRate": 1, "status": 200}`, 400, defaults},
		"PUT of no status":         {http.MethodPut, `{"status": 600}`, 400, defaults},
		"PUT of two behaviors":     {http.MethodPut, `{}{}`, 400, defaults},
		"PUT of a large body":      {http.MethodPut, strings.Repeat(" ", 5000) + `{}`, 400, defaults},
		"POST":                     {http.MethodPost, `{}`, 405, defaults},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fault := NewFault(luck(), nil)
			answer := httptest.NewRecorder()
			fault.ServeHTTP(answer, httptest.NewRequest(test.method, "/sandbox/x", strings.NewReader(test.body)))
			if answer.Code != test.wantStatus {
				t.Errorf("the switch answers with %d (%s), want %d", answer.Code, answer.Body, test.wantStatus)
			}
			if diff := cmp.Diff(test.want, fault.Behavior()); diff != "" {
				t.Errorf("the stand-in behaves otherwise than was set (-want +got):\n%s", diff)
			}
			if answer.Code != http.StatusOK {
				return
			}
			var shown Behavior
			if err := json.Unmarshal(answer.Body.Bytes(), &shown); err != nil || shown != test.want {
				t.Errorf("the switch shows the behavior as %s (error %v), want what was set", answer.Body, err)
			}
		})
	}
}

func TestFaultRate(t *testing.T) {
	t.Parallel()
	const calls = 2000
	for _, rate := range []float64{0, 0.3, 1} {
		fault := NewFault(luck(), nil)
		if err := fault.Set(Behavior{FailRate: rate, Status: 500}); err != nil {
			t.Fatalf("setting the sandbox's behaviour: %v", err)
		}
		passed := 0
		handler := fault.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }))
		failed := 0
		for range calls {
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
			if answer.Code == 500 {
				failed++
			}
		}
		if failed+passed != calls {
			t.Errorf("with the rate %v, %d calls failed and %d passed, want %d in all", rate, failed, passed, calls)
		}
		got := float64(failed) / calls
		if math.Abs(got-rate) > 0.05 || (rate == 1 && failed != calls) || (rate == 0 && failed != 0) {
			t.Errorf("with the failRate %v, a share of %v of the calls failed", rate, got)
		}
	}
}

func TestFaultSetRefusesNaN(t *testing.T) {
	t.Parallel()
	if err := NewFault(luck(), nil).Set(Behavior{FailRate: math.NaN(), Status: 500}); err == nil {
		t.Error("a failRate of NaN was accepted")
	}
}

func TestFaultLatency(t *testing.T) {
	t.Parallel()
	const latency = 40 * time.Millisecond
	fault := NewFault(luck(), nil)
	if err := fault.Set(Behavior{LatencyMs: float64(latency / time.Millisecond), Status: 503}); err != nil {
		t.Fatalf("setting the sandbox's behaviour: %v", err)
	}
	start := time.Now()
	status, err := fault.Apply(t.Context())
	if took := time.Since(start); status != 0 || err != nil || took < latency {
		t.Errorf("a slow stand-in gives the status %d (error %v) after %s, want success after %s", status, err, took, latency)
	}
}

func TestFaultLatencyEndsWithTheCall(t *testing.T) {
	t.Parallel()
	fault := NewFault(luck(), nil)
	if err := fault.Set(Behavior{LatencyMs: 60_000, Status: 503}); err != nil {
		t.Fatalf("setting the sandbox's behaviour: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if status, err := fault.Apply(ctx); status != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call whose time ends during the latency gives the status %d (error %v), want its deadline", status, err)
	}
	handler := fault.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the call went through") }))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
}
