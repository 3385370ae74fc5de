package timing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sampled = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1"

// traced returns a context with a trace, as Lambda's runtime makes it.
func traced(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, runtimeTrace, trace) //nolint:staticcheck // the runtime has no other key
}

// line returns the log line with the attributes.
func line(t *testing.T, attrs []slog.Attr) map[string]any {
	t.Helper()
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).LogAttrs(t.Context(), slog.LevelInfo, "", attrs...)
	var fields map[string]any
	if err := json.Unmarshal(b.Bytes(), &fields); err != nil {
		t.Fatalf("decoding %.500s: %v", b.Bytes(), err)
	}
	for _, own := range []string{"time", "level", "msg"} {
		delete(fields, own)
	}
	return fields
}

// TestSums makes successive, simultaneous and unfinished calls. A sum is the time during which any of them was running.
func TestSums(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := Begin(traced(t.Context(), sampled), "lambda-1", nil)
		defer end()
		first := Start(ctx, Store)
		time.Sleep(10 * time.Millisecond)
		second := Start(context.WithoutCancel(ctx), Store) // a call that outlives its caller still belongs to the invocation
		time.Sleep(20 * time.Millisecond)
		first()
		time.Sleep(5 * time.Millisecond)
		second()
		time.Sleep(100 * time.Millisecond)
		third := Start(ctx, Store)
		time.Sleep(time.Millisecond)
		third()
		Start(ctx, Cache)() // a call that takes no time is counted
		Start(ctx, Twilio)  // not ended yet
		time.Sleep(1500 * time.Microsecond)
		waited := Start(ctx, Wait)
		time.Sleep(time.Second)
		waited()
		want := map[string]any{
			"lambdaRequestId": "lambda-1", "traceId": "1-67891233-abcdef012345678912345678",
			"storeMs": 36.0, "cacheMs": 0.0, "twilioMs": 1001.5, "waitedMs": 1000.0,
		}
		if diff := cmp.Diff(want, line(t, Attrs(ctx))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		delete(want, "waitedMs")
		if diff := cmp.Diff(want, line(t, Attrs(ctx, Wait))); diff != "" {
			t.Errorf("without waits (-want +got):\n%s", diff)
		}
	})
}

// TestOutside: adapters may be called where nothing is measured.
func TestOutside(t *testing.T) {
	t.Parallel()
	Start(t.Context(), Sufrah)()
	if attrs := Attrs(t.Context()); attrs != nil {
		t.Errorf("%v", attrs)
	}
	ctx, end := Begin(traced(t.Context(), "no header"), "", nil)
	end()
	if got := line(t, Attrs(ctx)); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// daemon is X-Ray's daemon, which takes datagrams with a header and a document.
type daemon struct{ net.PacketConn }

func newDaemon(t testing.TB) daemon {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening on a port: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return daemon{conn}
}

type document struct {
	Name, ID, Type, Namespace string
	TraceID                   string  `json:"trace_id"`
	ParentID                  string  `json:"parent_id"`
	Start                     float64 `json:"start_time"`
	End                       float64 `json:"end_time"`
	Subsegments               []document
}

// receive returns the next document. It fails the test if X-Ray would refuse it.
func (d daemon) receive(t *testing.T) document {
	t.Helper()
	buffer := make([]byte, 64<<10)
	if err := d.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatalf("setting the read deadline: %v", err)
	}
	n, _, err := d.ReadFrom(buffer)
	if err != nil {
		t.Fatalf("receiving the segment that X-Ray's daemon gets: %v", err)
	}
	head, body, _ := bytes.Cut(buffer[:n], []byte("\n"))
	var format struct {
		Format  string
		Version int
	}
	if err := json.Unmarshal(head, &format); err != nil || format.Format != "json" || format.Version != 1 {
		t.Fatalf("header %s, %v", head, err)
	}
	var got document
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	ids := map[string]bool{}
	for _, s := range append(got.Subsegments, got) {
		if len(s.ID) != 16 || strings.Trim(s.ID, "0123456789abcdef") != "" || ids[s.ID] {
			t.Errorf("id %q", s.ID)
		}
		ids[s.ID] = true
		if s.End < s.Start || time.Since(time.UnixMicro(int64(s.Start*1e6))) > time.Minute || s.Name == "" {
			t.Errorf("%+v", s)
		}
	}
	return got
}

// counting returns ids 1, 2, …, which are short and must be padded.
func counting() func() uint64 {
	n := uint64(0)
	return func() uint64 { n++; return n }
}

func TestTracer(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	tracer := NewTracer(d.LocalAddr().String(), counting())
	for range 2 { // the second one uses the same socket
		ctx, end := Begin(traced(t.Context(), sampled), "lambda-1", tracer)
		outer := Start(ctx, Twilio)
		Start(ctx, Store)()
		Start(ctx, Wait)()
		outer()
		end()
		got := d.receive(t)
		if got.Type != "subsegment" || got.TraceID != "1-67891233-abcdef012345678912345678" || got.ParentID != "463ac35c9f6413ad" {
			t.Errorf("%+v", got)
		}
		var names []string
		for _, s := range got.Subsegments {
			names = append(names, s.Name+" "+s.Namespace)
			if s.Start < got.Start || s.End > got.End {
				t.Errorf("%+v is outside of %+v", s, got)
			}
		}
		if diff := cmp.Diff([]string{"DynamoDB aws", "wait ", "Twilio remote"}, names); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestNotTraced: invocations without a trace send nothing; a later one with a trace does.
func TestNotTraced(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	tracer := NewTracer(d.LocalAddr().String(), counting())
	for _, trace := range []string{"", "Root=1-2-3;Parent=4;Sampled=0", "Sampled=1", "Root=1-2-3;Sampled=1", strings.Replace(sampled, "Sampled=1", "", 1)} {
		ctx, end := Begin(traced(t.Context(), trace), "", tracer)
		Start(ctx, Store)()
		end()
	}
	_, end := Begin(traced(t.Context(), sampled), "", tracer) // without calls
	end()
	ctx, end := Begin(traced(t.Context(), sampled), "", tracer)
	for range 3 * maxCalls {
		Start(ctx, Secrets)()
	}
	end()
	if got := d.receive(t); len(got.Subsegments) != maxCalls || got.TraceID != traceID(sampled) {
		t.Errorf("%d calls of trace %s", len(got.Subsegments), got.TraceID)
	}
	if NewTracer("", counting()) != nil {
		t.Error("a tracer without a daemon")
	}
	NewTracer("nowhere", counting()).send(t.Context(), &Invocation{trace: sampled, calls: []call{{}}}) // an address that can't be dialed is no error
}

// BenchmarkTracer measures how long X-Ray takes for an invocation with the ten calls of a welcome, sampled and not sampled.
func BenchmarkTracer(b *testing.B) {
	d := newDaemon(b)
	tracer := NewTracer(d.LocalAddr().String(), counting())
	for _, sampled := range []int{0, 1} {
		b.Run(fmt.Sprintf("Sampled=%d", sampled), func(b *testing.B) {
			ctx := traced(b.Context(), fmt.Sprintf("Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=%d", sampled))
			for b.Loop() {
				ctx, end := Begin(ctx, "lambda-1", tracer)
				for k := range 10 {
					Start(ctx, Kind(k)%kinds)()
				}
				end()
			}
		})
	}
}
