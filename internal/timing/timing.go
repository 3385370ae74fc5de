// Package timing measures an invocation's time in calls of DynamoDB, the cache, the Sufrah API, Twilio, SQS and Secrets
// Manager, and in waits. Adapters report their calls without knowing the invocation, and the line at the end of a message, a
// request or a job shows the sums.
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

// Kinds of calls, and Wait for deliberate sleep: for a job's slot, another delivery, another writer.
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

// fields are the log's names of the sums, in milliseconds.
var fields = [kinds]string{"storeMs", "cacheMs", "sufrahMs", "twilioMs", "queueMs", "secretsMs", "waitedMs"}

// runtimeTrace is the key of the trace header in the contexts of Lambda's runtime client.
const runtimeTrace = "x-amzn-trace-id"

type key struct{}

// Invocation is one invocation under way. It is safe for concurrent use.
type Invocation struct {
	requestID string
	trace     string // X-Ray's header: Root=…;Parent=…;Sampled=…
	keep      bool   // whether each call is kept, for X-Ray

	mu    sync.Mutex
	sums  [kinds]sum
	calls []call
}

// sum is the time in which at least one call of a kind was under way: calls at the same time count once, so that no sum
// exceeds the invocation's duration.
type sum struct {
	underWay int
	since    time.Time // when underWay rose from 0
	total    time.Duration
	used     bool
}

// call is one call that has ended.
type call struct {
	kind       Kind
	start, end time.Time
}

// Begin returns a context that measures its calls, and a func that ends the measurement and sends the calls to X-Ray, if the
// invocation is sampled and tracer isn't nil. requestID is Lambda's own.
func Begin(ctx context.Context, requestID string, tracer *Tracer) (context.Context, func()) {
	trace, _ := ctx.Value(runtimeTrace).(string)
	i := &Invocation{requestID: requestID, trace: trace, keep: tracer != nil && strings.Contains(trace, "Sampled=1")}
	end := func() {}
	if i.keep {
		end = func() { tracer.send(context.WithoutCancel(ctx), i) } // also the calls that ran out of time
	}
	return context.WithValue(ctx, key{}, i), end
}

// Start notes that a call begins, and returns a func that notes its end. Outside of an invocation both do nothing.
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

// Attrs returns the attributes of an invocation's last line: Lambda's request id and X-Ray's trace, which lead to the
// platform's records and to the trace, and the milliseconds in each kind of call, except kinds that the line has already. It
// returns nil outside of an invocation.
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
		if s.underWay > 0 { // a call that nobody waits for goes on
			s.total += now.Sub(s.since)
		}
		attrs = append(attrs, slog.Float64(fields[k], float64(s.total.Microseconds())/1000))
	}
	return attrs
}

// traceID returns the trace's id of X-Ray's header, or "".
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
