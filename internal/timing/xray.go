package timing

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"
)

// Tracer sends the calls of sampled invocations to X-Ray's daemon, as subsegments of the function's own segment. Lambda runs
// the daemon next to the function and gives its address in AWS_XRAY_DAEMON_ADDRESS (AWS, Lambda developer guide, "Defined
// runtime environment variables"). X-Ray's SDK isn't needed, and would add more to a cold start than the calls cost.
//
// All calls of an invocation are one datagram: a subsegment with the calls as its subsegments (AWS, X-Ray developer guide,
// "X-Ray segment documents"). It takes some microseconds (BenchmarkTracer); an invocation that isn't sampled takes none.
type Tracer struct {
	address string
	random  func() uint64

	mu   sync.Mutex
	conn net.Conn // nil before the first sampled invocation
}

// NewTracer returns a tracer that sends to the daemon at address, or nil if there is none. random makes the ids.
func NewTracer(address string, random func() uint64) *Tracer {
	if address == "" {
		return nil
	}
	return &Tracer{address: address, random: random}
}

const (
	// header is the line before each document (AWS, X-Ray developer guide, "Sending trace data to X-Ray").
	header = `{"format": "json", "version": 1}` + "\n"
	// maxCalls keeps a datagram below X-Ray's limit of 64 KB for a document.
	maxCalls = 400
)

// The names and namespaces of the calls. X-Ray draws a node for each name; the namespace says which provider has the service.
var (
	nodes      = [kinds]string{"DynamoDB", "ElastiCache", "Sufrah API", "Twilio", "SQS", "Secrets Manager", "wait"}
	namespaces = [kinds]string{"aws", "remote", "remote", "remote", "aws", "aws", ""}
)

// send sends the invocation's calls. If it can't, they are lost, and the invocation isn't affected.
func (t *Tracer) send(ctx context.Context, i *Invocation) {
	i.mu.Lock()
	calls := i.calls[:min(len(i.calls), maxCalls)]
	i.mu.Unlock()
	trace, parent := traceID(i.trace), part(i.trace, "Parent=")
	if len(calls) == 0 || trace == "" || parent == "" {
		return
	}
	document := t.document(trace, parent, calls)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "udp", t.address)
		if err != nil {
			return
		}
		t.conn = conn
	}
	_, _ = t.conn.Write(document)
}

// document returns the datagram: header and subsegment.
func (t *Tracer) document(trace, parent string, calls []call) []byte {
	first, last := calls[0].start, calls[0].end
	for _, c := range calls[1:] {
		if c.start.Before(first) {
			first = c.start
		}
		if c.end.After(last) {
			last = c.end
		}
	}
	b := append(make([]byte, 0, 512+160*len(calls)), header...)
	b = append(b, `{"name":"calls","type":"subsegment","trace_id":"`...)
	b = append(b, trace...)
	b = append(b, `","parent_id":"`...)
	b = append(b, parent...)
	b = append(b, '"')
	b = t.span(b, first, last)
	b = append(b, `,"subsegments":[`...)
	for n, c := range calls {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":"`...)
		b = append(b, nodes[c.kind]...)
		b = append(b, '"')
		if namespaces[c.kind] != "" {
			b = append(b, `,"namespace":"`...)
			b = append(b, namespaces[c.kind]...)
			b = append(b, '"')
		}
		b = t.span(b, c.start, c.end)
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// span appends an id of 16 hexadecimal digits, and the times in seconds with fractions.
func (t *Tracer) span(b []byte, start, end time.Time) []byte {
	id := strconv.FormatUint(t.random(), 16)
	b = append(b, `,"id":"`...)
	for range 16 - len(id) {
		b = append(b, '0')
	}
	b = append(b, id...)
	b = append(b, `","start_time":`...)
	b = strconv.AppendFloat(b, float64(start.UnixMicro())/1e6, 'f', 6, 64)
	b = append(b, `,"end_time":`...)
	return strconv.AppendFloat(b, float64(end.UnixMicro())/1e6, 'f', 6, 64)
}
