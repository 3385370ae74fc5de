package usage_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/localstore"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

func TestTopUpCountsInItsMonthOnly(t *testing.T) {
	t.Parallel()
	store := localstore.New(t)
	create(t, store, named("one", "One"), 10)
	riyadh, err := time.LoadLocation("Asia/Riyadh")
	if err != nil {
		t.Fatalf("loading the time zone: %v", err)
	}
	now := at("2026-10-31T20:59:59.999Z")
	calendar := usage.NewCalendar(riyadh)
	renewer := usage.NewTopUpService(store, calendar, defaults, func() time.Time { return now }, func() string { return "1" })
	renew := func(want int64) {
		t.Helper()
		got, err := renewer.Add(t.Context(), usage.TopUpRequest{RestaurantID: "one", Amount: 100, Reason: "more", By: "cr_1"})
		if err != nil {
			t.Fatalf("adding the top-up: %v", err)
		}
		wantEqual(t, "quota after the top-up", got, usage.ToppedUp{Quota: usage.Quota{Limit: 300, ToppedUp: want}})
	}
	renew(100)
	renew(200)
	now = now.Add(time.Millisecond) // November in Riyadh
	renew(100)
	report, err := usage.NewService(store, calendar, defaults, func() time.Time { return now }).Report(t.Context(), "one")
	if err != nil {
		t.Fatalf("reading the report: %v", err)
	}
	wantEqual(t, "allowance with one top-up in the new month", report.Allowance, usage.Allowance{DailyLimit: 10, DailyRemaining: 10, MonthlyLimit: 300, MonthlyRemaining: 400})
}

func TestTopUpsThatMakeNoSenseAreRefusedByName(t *testing.T) {
	t.Parallel()
	renewer := usage.NewTopUpService(localstore.New(t), usage.NewCalendar(nil), defaults, time.Now, func() string { return "1" })
	for name, test := range map[string]struct {
		spoil func(*usage.TopUpRequest)
		want  string // the name in the fault
	}{
		"too much":                  {func(r *usage.TopUpRequest) { r.Amount = 1_000_001 }, "amount"},
		"no reason":                 {func(r *usage.TopUpRequest) { r.Reason = " " }, "reason"},
		"too long a reason":         {func(r *usage.TopUpRequest) { r.Reason = strings.Repeat("م", 501) }, "reason"},
		"a reason of lines":         {func(r *usage.TopUpRequest) { r.Reason = "a\nb" }, "reason"},
		"a reason that is no text":  {func(r *usage.TopUpRequest) { r.Reason = "\xff" }, "reason"},
		"too long a key":            {func(r *usage.TopUpRequest) { r.Key = strings.Repeat("k", 256) }, "Idempotency-Key"},
		"an amount of nothing":      {func(r *usage.TopUpRequest) { r.Amount = 0 }, "amount"},
		"too large a correction":    {func(r *usage.TopUpRequest) { r.Amount = -1_000_001 }, "amount"},
		"two keys":                  {func(r *usage.TopUpRequest) { r.Key = "a,b" }, "Idempotency-Key"},
		"a key with spaces":         {func(r *usage.TopUpRequest) { r.Key = "a b" }, "Idempotency-Key"},
		"a key of other characters": {func(r *usage.TopUpRequest) { r.Key = "مفتاح" }, "Idempotency-Key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := usage.TopUpRequest{RestaurantID: "nobody", Amount: 1_000_000, Reason: strings.Repeat("م", 500), Key: strings.Repeat("k", 255)}
			if _, err := renewer.Add(t.Context(), r); !errors.Is(err, restaurant.ErrNotFound) {
				t.Fatalf("the largest top-up that is allowed fails with %v, want not found, of the restaurant", err)
			}
			test.spoil(&r)
			_, err := renewer.Add(t.Context(), r)
			if fault, ok := errors.AsType[*usage.TopUpFault](err); !ok || fault.Name != test.want || fault.Problem == "" {
				t.Errorf("the top-up %+v fails with %v, want a fault of %s", r, err, test.want)
			}
		})
	}
}
