package metrics

import (
	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
)

// JobEnded counts an attempt at a bootstrap job, for bootstrap.Worker's Observe.
func (w *Writer) JobEnded(o bootstrap.Outcome) {
	names := map[bootstrap.Kind]Name{
		bootstrap.Completed: JobCompleted, bootstrap.Partial: JobPartial, bootstrap.Failed: JobFailed,
		bootstrap.DeadLettered: JobDeadLettered, bootstrap.Waiting: JobWaiting, bootstrap.Late: JobLate,
	}
	w.Write(Count(names[o.Kind], 1), Duration(JobDuration, o.Duration), Duration(JobWaited, o.Waited))
}

// CacheLoaded counts a look-up of a menu by its result, for cache.Observer's Loaded.
func (w *Writer) CacheLoaded(_ string, source cache.Source) {
	names := map[cache.Source]Name{
		cache.Fresh: CacheHit, cache.Fetched: CacheMiss, cache.Stale: CacheStale, cache.None: MenuUnavailable,
	}
	w.Write(Count(names[source], 1))
}

// QuotaAlert counts a restaurant that has passed a threshold, for conversation.Events. percent is the threshold.
func (w *Writer) QuotaAlert(percent int64) {
	names := map[int64]Name{80: QuotaAlert80, 90: QuotaAlert90, 100: QuotaAlert100}
	if name, ok := names[percent]; ok {
		w.Write(Count(name, 1))
	}
}

// MessageSent counts a message that Twilio took, for conversation.Events.
func (w *Writer) MessageSent(kind delivery.Kind) {
	names := map[delivery.Kind]Name{
		delivery.Welcome: SentWelcome, delivery.List: SentList, delivery.Text: SentText, delivery.QuotaAlert: SentQuotaAlert,
	}
	w.Write(Count(names[kind], 1))
}

// MessageReported counts a callback's report that a message was or wasn't delivered, for conversation.Events.
func (w *Writer) MessageReported(r delivery.Report) {
	if !r.Origin.Known() {
		return
	}
	switch r.Status {
	case delivery.Delivered:
		names := map[delivery.Kind]Name{
			delivery.Welcome: DeliveredWelcome, delivery.List: DeliveredList, delivery.Text: DeliveredText,
			delivery.QuotaAlert: DeliveredQuotaAlert,
		}
		w.Write(Count(names[r.Origin.Kind], 1))
	case delivery.Failed:
		names := map[delivery.Kind]Name{
			delivery.Welcome: UndeliveredWelcome, delivery.List: UndeliveredList, delivery.Text: UndeliveredText,
			delivery.QuotaAlert: UndeliveredQuotaAlert,
		}
		faults := map[delivery.Fault]Name{
			delivery.FaultContent: FaultOfContent, delivery.FaultReceiver: FaultOfReceiver, delivery.FaultOperator: FaultOfOperator,
			delivery.FaultWindow: FaultOfWindow, delivery.FaultPassing: FaultPassing, delivery.FaultUnknown: FaultUnknown,
		}
		w.Write(Count(names[r.Origin.Kind], 1), Count(faults[r.Code().Fault], 1))
	}
}

// Ignored counts an acknowledged delivery that is no customer's message, by its kind, for webhook.Config.
func (w *Writer) Ignored(kind string) {
	names := map[string]Name{
		"status": IgnoredStatus, "sms": IgnoredSMS, "other": IgnoredOther, "reaction": IgnoredReaction, "system": IgnoredSystem,
		"own": IgnoredOwn, "inactive": IgnoredInactive,
	}
	if name, ok := names[kind]; ok {
		w.Write(Count(name, 1))
	}
}
