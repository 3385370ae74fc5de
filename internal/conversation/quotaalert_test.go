package conversation_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// faultyAlerter is a working QuotaAlerter. Each call fails while its error is set.
type faultyAlerter struct {
	conversation.QuotaAlerter
	state, claim, settle error
}

func (w *faultyAlerter) QuotaState(ctx context.Context, restaurantID string, at time.Time) (conversation.QuotaState, error) {
	if w.state != nil {
		return conversation.QuotaState{}, w.state
	}
	return w.QuotaAlerter.QuotaState(ctx, restaurantID, at)
}

func (w *faultyAlerter) ClaimQuotaAlerts(
	ctx context.Context, m conversation.Message, month usage.Month, now time.Time,
) (conversation.QuotaAlerts, bool, error) {
	if w.claim != nil {
		return conversation.QuotaAlerts{}, false, w.claim
	}
	return w.QuotaAlerter.ClaimQuotaAlerts(ctx, m, month, now)
}

func (w *faultyAlerter) SettleQuotaAlerts(
	ctx context.Context, m conversation.Message, month usage.Month, told conversation.QuotaAlerts, done bool,
) error {
	if w.settle != nil {
		return w.settle
	}
	return w.QuotaAlerter.SettleQuotaAlerts(ctx, m, month, told, done)
}

const (
	owner    = "+966500000099"
	alertSID = "HX00000000000000000000000000000009"
)

// limited returns a fixture with a restaurant that may open perDay conversations a day and thirty times as many a month, and
// that has an owner's number.
func (f *fixture) limited(t *testing.T, perDay int64) *fixture {
	t.Helper()
	f.tenant.Bot.Limits.ConversationsPerDay, f.tenant.Bot.OwnerNumber = perDay, owner
	if err := f.store.SetBot(t.Context(), f.tenant.Restaurant.ID, f.tenant.Bot); err != nil {
		t.Fatalf("setting the bot: %v", err)
	}
	f.templates["quota_alert"] = alertSID
	return f
}

// open lets new customers, numbered first to last, each open a conversation, a second apart.
func (f *fixture) open(t *testing.T, first, last int) {
	t.Helper()
	for i := first; i <= last; i++ {
		f.now = f.now.Add(time.Second)
		if err := f.openOne(i); err != nil {
			t.Errorf("a customer's message that opens conversation %d failed: %v", i, err)
		}
	}
}

func (f *fixture) openOne(i int) error {
	in := conversation.Incoming{MessageID: fmt.Sprint("SM", i), Customer: fmt.Sprintf("+96651%07d", i), Body: "hello"}
	return f.Receive(context.Background(), f.tenant, in)
}

// alerted returns the alerts that the owner got: threshold, used conversations, and limit.
func (f *fixture) alerted() []string {
	var alerts []string
	for _, m := range f.phones.received {
		if m.To == owner {
			alerts = append(alerts, fmt.Sprint(m.SID == alertSID, " ", m.Variables["1"], " ", m.Variables["2"], "% ", m.Variables["3"], "/", m.Variables["4"]))
		}
	}
	return alerts
}

// wantTold checks the thresholds of the events, and the owner's alerts.
func (f *fixture) wantTold(t *testing.T, events []int, alerts ...string) {
	t.Helper()
	want := make(map[string]int)
	for _, percent := range events {
		want[fmt.Sprint("passed ", percent)] = 1
	}
	got := maps.Clone(f.events)
	maps.DeleteFunc(got, func(name string, _ int) bool { return !strings.HasPrefix(name, "passed") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the metrics of passed thresholds (-want +got):\n%s", diff)
	}
	if lines := strings.Count(f.log.String(), `"message":"restaurant passed a threshold"`); lines != len(events) {
		t.Errorf("the log has %d lines \"restaurant passed a threshold\", want %d, one for each passed threshold:\n%s", lines, len(events), f.log)
	}
	if diff := cmp.Diff(alerts, f.alerted()); diff != "" {
		t.Errorf("the owner was told (-want +got):\n%s", diff)
	}
}

func TestOwnerIsToldOnceOfEachThreshold(t *testing.T) {
	t.Parallel()
	f := setup(t).limited(t, 1)
	f.open(t, 1, 23)
	f.wantTold(t, nil)
	f.open(t, 24, 24)
	f.wantTold(t, []int{80}, "true Example 80% 24/30")
	f.wantLogged(t, "INFO", "quota alert sent")
	for _, field := range []string{`"threshold":80`, `"month":"2026-11"`, `"used":24`, `"limit":30`, `"effectiveLimit":30`, `"adjustedBy":0`, `"restaurantId":"clxyz123abc"`} {
		if !strings.Contains(f.log.String(), field) {
			t.Errorf("the log line of the quota alert lacks %s:\n%s", field, f.log)
		}
	}
	f.open(t, 25, 29)
	f.wantTold(t, []int{80, 90}, "true Example 80% 24/30", "true Example 90% 27/30")
	f.open(t, 30, 40)
	all := []string{"true Example 80% 24/30", "true Example 90% 27/30", "true Example 100% 30/30"}
	f.wantTold(t, []int{80, 90, 100}, all...)

	// After a top-up, 40 of 45 are used: the thresholds above that are passed and reported again.
	a := usage.TopUp{ID: "adj_1", Amount: 15}
	if _, err := f.store.AddTopUp(t.Context(), f.tenant.Restaurant.ID, usage.Month{Year: 2026, Month: time.November}, a, "", 0); err != nil {
		t.Fatalf("adding the top-up: %v", err)
	}
	clear(f.events)
	f.log.Reset()
	f.phones.received = nil
	f.open(t, 41, 50)
	f.wantTold(t, []int{90, 100}, "true Example 90% 41/45", "true Example 100% 45/45")
	if strings.Contains(f.log.String(), owner) {
		t.Errorf("the log shows the owner's number: %s", f.log)
	}

	f.now = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	clear(f.events)
	f.log.Reset()
	f.phones.received = nil
	f.open(t, 51, 74)
	f.wantTold(t, []int{80}, "true Example 80% 24/30")
}

// TestLowerPlanReportsItsThresholdsAtTheNextConversation: thresholds of a lowered limit are reported with the next
// conversation.
func TestLowerPlanReportsItsThresholdsAtTheNextConversation(t *testing.T) {
	t.Parallel()
	f := setup(t).limited(t, 2)
	f.open(t, 1, 29)
	f.wantTold(t, nil)
	f.limited(t, 1)
	f.wantTold(t, nil)
	f.open(t, 30, 30)
	f.wantTold(t, []int{80, 90, 100}, "true Example 80% 30/30", "true Example 90% 30/30", "true Example 100% 30/30")
}

// TestThresholdsAreReportedWithoutAnOwner: without an owner, the thresholds are in the log and in metrics.
func TestThresholdsAreReportedWithoutAnOwner(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*fixture){
		"no number":   func(f *fixture) { f.tenant.Bot.OwnerNumber = "" },
		"no template": func(f *fixture) { delete(f.templates, "quota_alert") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t).limited(t, 1)
			spoil(f)
			f.open(t, 1, 30)
			f.wantTold(t, []int{80, 90, 100})
		})
	}
}

func TestNoThresholdsWithoutALimit(t *testing.T) {
	t.Parallel()
	f := setup(t).limited(t, usage.Unlimited)
	f.open(t, 1, 40)
	f.wantTold(t, nil)
}

// TestFailedAlertIsSentWithTheNextConversation: a failed alert doesn't fail the customer's message, and is sent with the next
// conversation.
func TestFailedAlertIsSentWithTheNextConversation(t *testing.T) {
	t.Parallel()
	f := setup(t).limited(t, 1)
	down := true
	f.phones.before = func(_ context.Context, m sent) error {
		if down && m.To == owner {
			return outage.ErrUnavailable
		}
		return nil
	}
	f.open(t, 1, 28)
	f.wantTold(t, []int{80, 90})
	f.wantLogged(t, "ERROR", "quota alert not sent: the restaurant's next conversation tries again")
	down = false
	f.open(t, 29, 29)
	f.wantTold(t, []int{80, 90}, "true Example 80% 29/30", "true Example 90% 29/30")
	f.open(t, 30, 30)
	f.wantTold(t, []int{80, 90, 100}, "true Example 80% 29/30", "true Example 90% 29/30", "true Example 100% 30/30")
}

// TestAlertThatNeverCanBeSentIsTriedOnce: an alert is given up if the owner's number or the template is refused.
func TestAlertThatNeverCanBeSentIsTriedOnce(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{conversation.ErrUndeliverable, conversation.ErrTemplateRejected} {
		f := setup(t).limited(t, 1)
		tries := 0
		f.phones.before = func(_ context.Context, m sent) error {
			if m.To == owner {
				tries++
				return failure
			}
			return nil
		}
		f.open(t, 1, 26)
		f.wantTold(t, []int{80})
		f.wantLogged(t, "ERROR", "quota alert given up: the owner's number or the template is refused")
		if tries != 1 {
			t.Errorf("an alert that fails with \"%v\" was tried %d times, want once: it can never be sent", failure, tries)
		}
	}
}

// TestCustomersAreWelcomedWhileAlertsFail: customers are welcomed even if the allowance can't be read or noted.
func TestCustomersAreWelcomedWhileAlertsFail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set    func(*faultyAlerter, error)
		events []int // thresholds reported while the call fails
	}{
		"state":  {func(w *faultyAlerter, err error) { w.state = err }, nil},
		"claim":  {func(w *faultyAlerter, err error) { w.claim = err }, nil},
		"settle": {func(w *faultyAlerter, err error) { w.settle = err }, []int{80}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setup(t).limited(t, 1)
				f.open(t, 1, 23)
				test.set(f.alerter, errDown)
				f.open(t, 24, 24)
				f.wantTold(t, test.events)
				test.set(f.alerter, nil)
				f.now = f.now.Add(conversation.AlertLeaseLength)
				clear(f.events) // if an alert couldn't be noted, it is sent again
				f.log.Reset()
				f.open(t, 25, 25)
				f.wantTold(t, []int{80}, "true Example 80% 25/30")
				if n := len(f.phones.received); n != 25+1 {
					t.Errorf("%d messages went out, want 26: each of 25 customers' welcome, and the alert once", n)
				}
			})
		})
	}
}

// TestOwnerIsToldOnceWhenConversationsOpenAtOnce: thirty-one conversations that open at once give one alert for each
// threshold.
func TestOwnerIsToldOnceWhenConversationsOpenAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t).limited(t, 1)
	var all sync.WaitGroup
	failures := make([]error, 31)
	for i := range failures {
		all.Go(func() { failures[i] = f.openOne(i) })
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatalf("opening the conversations at once: %v", err)
	}
	f.open(t, 32, 32) // reports a threshold that was passed while another delivery was reporting
	var told []string
	for _, alert := range f.alerted() {
		told = append(told, strings.Fields(alert)[2])
	}
	if !slices.Equal(told, []string{"80%", "90%", "100%"}) {
		t.Errorf("31 conversations opened at once: the owner was told of %q, want each of 80%%, 90%% and 100%% once, in order", told)
	}
	f.wantTold(t, []int{80, 90, 100}, f.alerted()...)
}
