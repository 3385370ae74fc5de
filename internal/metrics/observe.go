package metrics

import (
	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
)

// JobEnded counts an attempt at a bootstrap job. It is a bootstrap.Worker's Observe.
func (w *Writer) JobEnded(o bootstrap.Outcome) {
	names := map[bootstrap.Kind]Name{
		bootstrap.Completed: JobCompleted, bootstrap.Partial: JobPartial, bootstrap.Failed: JobFailed,
		bootstrap.DeadLettered: JobDeadLettered, bootstrap.Waiting: JobWaiting, bootstrap.Late: JobLate,
	}
	w.Write(Count(names[o.Kind], 1), Duration(JobDuration, o.Duration), Duration(JobWaited, o.Waited))
}

// CacheLoaded counts where a value came from. It is a cache.Observer's Loaded.
func (w *Writer) CacheLoaded(_ string, source cache.Source) {
	names := map[cache.Source]Name{
		cache.Fresh: CacheHit, cache.Fetched: CacheMiss, cache.Stale: CacheStale, cache.None: CacheFailed,
	}
	w.Write(Count(names[source], 1))
}

// QuotaAlert counts a restaurant that passed a threshold of its allowance, in percent. It is a conversation.Events'
// QuotaAlert.
func (w *Writer) QuotaAlert(percent int64) {
	names := map[int64]Name{80: QuotaAlert80, 90: QuotaAlert90, 100: QuotaAlert100}
	if name, ok := names[percent]; ok {
		w.Write(Count(name, 1))
	}
}

// Ignored counts a delivery that was acknowledged without being a customer's message, by its kind. It is a webhook.Config's
// Ignored.
func (w *Writer) Ignored(kind string) {
	names := map[string]Name{
		"status": IgnoredStatus, "sms": IgnoredSMS, "other": IgnoredOther, "reaction": IgnoredReaction, "system": IgnoredSystem,
		"own": IgnoredOwn, "inactive": IgnoredInactive,
	}
	if name, ok := names[kind]; ok {
		w.Write(Count(name, 1))
	}
}
