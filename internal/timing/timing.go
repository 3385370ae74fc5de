// Package timing measures how much of an invocation's time goes into calls (of DynamoDB, the cache, the Sufrah API, Twilio,
// SQS and Secrets Manager) and into waits. Adapters report their calls without knowing the invocation. The last log line of a
// message, a request or a job contains the sums.
package timing

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is a kind of waiting.
type Kind int

// The kinds of calls, and Wait for deliberate sleep: for a job's slot, another delivery, another writer.
const (
	Store Kind = iota
	Cache
	Sufrah
	Twilio
	Queue
	Secrets
	Wait
	kinds
)

// fields are the sums' names in the log. They are in milliseconds.
var fields = [kinds]string{"storeMs", "cacheMs", "sufrahMs", "twilioMs", "queueMs", "secretsMs", "waitedMs"}

// runtimeTrace is the key of the trace header in contexts of Lambda's runtime client.
const runtimeTrace = "x-amzn-trace-id"

type key struct{}

// Invocation is a running invocation. It is safe for concurrent use.
type Invocation struct {
	requestID string
	trace     string // X-Ray's header: Root=…;Parent=…;Sampled=…
	keep      bool   // whether calls are kept for X-Ray

	mu    sync.Mutex
	sums  [kinds]sum
	calls []call
}

// sum is the time during which at least one call of a kind was running. Simultaneous calls count once, so that no sum exceeds
// the invocation's duration.
type sum struct {
	underWay int
	since    time.Time // time at which underWay rose from 0
	total    time.Duration
	used     bool
}

// call is one call that has ended.
type call struct {
	kind       Kind
	start, end time.Time
}

// Begin returns a context in which calls are measured, and a func that ends the measurement. If the invocation is sampled and
// tracer isn't nil, that func sends the calls to X-Ray. requestID is Lambda's own.
func Begin(ctx context.Context, requestID string, tracer *Tracer) (context.Context, func()) {
	trace, _ := ctx.Value(runtimeTrace).(string)
	i := &Invocation{requestID: requestID, trace: trace, keep: tracer != nil && strings.Contains(trace, "Sampled=1")}
	end := func() {}
	if i.keep {
		end = func() { tracer.send(context.WithoutCancel(ctx), i) } // includes calls that ran out of time
	}
	return context.WithValue(ctx, key{}, i), end
}

// Start notes the beginning of a call, and returns a func that notes its end. Outside an invocation both do nothing.
func Start(ctx context.Context, k Kind) (end func()) {
	i, ok := ctx.Value(key{}).(*Invocation)
	if !ok {
		return func() {}
	}
	start := time.Now()
	i.mu.Lock()
	s := &i.sums[k]
	if s.used = true; s.underWay == 0 {
		s.since = start
	}
	s.underWay++
	i.mu.Unlock()
	return func() {
		now := time.Now()
		i.mu.Lock()
		defer i.mu.Unlock()
		if s.underWay--; s.underWay == 0 {
			s.total += now.Sub(s.since)
		}
		if i.keep {
			i.calls = append(i.calls, call{k, start, now})
		}
	}
}

// Attrs returns the attributes of an invocation's last log line: Lambda's request id, which leads to the platform's records;
// X-Ray's trace id; and the milliseconds in each kind of call, except the kinds in without. It returns nil outside an
// invocation.
func Attrs(ctx context.Context, without ...Kind) []slog.Attr {
	i, ok := ctx.Value(key{}).(*Invocation)
	if !ok {
		return nil
	}
	attrs := make([]slog.Attr, 0, kinds+2)
	if i.requestID != "" {
		attrs = append(attrs, slog.String("lambdaRequestId", i.requestID))
	}
	if id := traceID(i.trace); id != "" {
		attrs = append(attrs, slog.String("traceId", id))
	}
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	for k, s := range i.sums {
		if !s.used || slices.Contains(without, Kind(k)) {
			continue
		}
		if s.underWay > 0 { // a call that nobody waits for is still running
			s.total += now.Sub(s.since)
		}
		attrs = append(attrs, slog.Float64(fields[k], float64(s.total.Microseconds())/1000))
	}
	return attrs
}

// traceID returns the trace's id in X-Ray's header, or "".
func traceID(header string) string { return part(header, "Root=") }

// part returns the value of a part of a trace header.
func part(header, name string) string {
	for field := range strings.SplitSeq(header, ";") {
		if value, ok := strings.CutPrefix(field, name); ok {
			return value
		}
	}
	return ""
}
