package lambdasqs_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/eventsource"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
)

// skews are the errors of the instances' clocks, at most 2 s.
var skews = []time.Duration{0, 2 * time.Second, -2 * time.Second, time.Second, -time.Second}

// TestSimulation: in virtual time, new customers of as many merchants come to instances with different clocks, at once or
// over some minutes. Meanwhile the cache is emptied, Sufrah is down, or instances are killed. In no minute do more than
// twenty jobs call Sufrah, no job is lost, and none fails unless Sufrah does. The log compares the waits for menus with the
// waits under the original rule: twenty at the start of each fixed minute.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		jobs    int
		over    time.Duration    // period in which they come, at random moments; 0 is all at once
		emptied []time.Duration  // times at which the cache is emptied, after the start
		down    [2]time.Duration // beginning and end of Sufrah's outage
		killed  bool             // every tenth invocation is killed after its work
		late    time.Duration    // longest allowed delay of a job after the first moment at which the rule lets it start
	}{
		"20 at once":                    {jobs: 20},
		"40 at once":                    {jobs: 40},
		"200 at once":                   {jobs: 200},
		"60 over two minutes":           {jobs: 60, over: 2 * time.Minute, late: time.Second},
		"40, the cache emptied":         {jobs: 40, emptied: []time.Duration{time.Second}, late: time.Minute},
		"40, the cache emptied twice":   {jobs: 40, emptied: []time.Duration{30 * time.Second, 59 * time.Second}, late: time.Minute},
		"100, the cache emptied thrice": {jobs: 100, emptied: []time.Duration{30 * time.Second, 60 * time.Second, 90 * time.Second}, late: 3 * time.Minute},
		"60, instances killed":          {jobs: 60, killed: true, late: visibility},
		"60 over three minutes, Sufrah down for a minute": {jobs: 60, over: 3 * time.Minute, down: [2]time.Duration{30 * time.Second, 90 * time.Second}, late: 2 * time.Minute},
		"60 over two minutes, everything at once": {
			jobs: 60, over: 2 * time.Minute, emptied: []time.Duration{20 * time.Second, 80 * time.Second},
			down: [2]time.Duration{40 * time.Second, 60 * time.Second}, killed: true, late: visibility + 2*time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupAs(t, wiring{rate: designed, skews: skews, guarded: true})
			start := s.Now()
			seen := s.watch()
			luck := rand.New(rand.NewPCG(5, 6))
			arrived := map[string]time.Time{}
			for i := range test.jobs {
				at := start
				if test.over > 0 {
					at = at.Add(time.Duration(luck.Int64N(test.over.Milliseconds())) * time.Millisecond)
				}
				merchantID := fmt.Sprint("merchant-", i)
				arrived[merchantID] = at
				s.plan = append(s.plan, planned{at, func() { s.enqueueAt(t, merchantID, at) }})
			}
			for _, after := range test.emptied {
				s.plan = append(s.plan, planned{start.Add(after), s.redis.FlushAll})
			}
			if test.down != ([2]time.Duration{}) {
				s.plan = append(s.plan,
					planned{start.Add(test.down[0]), func() { s.fail(t, sandbox.Behavior{FailRate: 1, Status: 503}) }},
					planned{start.Add(test.down[1]), func() { s.fail(t, sandbox.Behavior{Status: 503}) }})
			}
			slices.SortStableFunc(s.plan, func(a, b planned) int { return a.at.Compare(b.at) })
			invoke := eventsource.Invoke(s.invoke)
			if test.killed {
				invoke = s.dying(10)
			}
			s.start(t, invoke)
			s.settle(t)

			starts := seen.starts()
			for i := 20; i < len(starts); i++ {
				if gap := starts[i].Sub(starts[i-20]); gap < time.Minute {
					t.Errorf("jobs %d to %d began within %v", i-19, i+1, gap)
				}
			}
			dead := len(s.engine.Messages("dead"))
			if len(seen.prefetched) != test.jobs || dead > 0 {
				t.Fatalf("%d merchants of %d were fetched, dead letters %d", len(seen.prefetched), test.jobs, dead)
			}
			arrivals := slices.SortedFunc(maps.Values(arrived), time.Time.Compare)
			first := firsts(arrivals)
			var waits, least, original []time.Duration
			for i, merchantID := range slices.SortedFunc(maps.Keys(arrived), func(a, b string) int {
				return seen.prefetched[a].Compare(seen.prefetched[b])
			}) {
				if late := seen.prefetched[merchantID].Sub(first[i]); late > test.late {
					t.Errorf("job %d was prefetched %v after the first moment at which it could", i+1, late)
				}
				waits = append(waits, seen.prefetched[merchantID].Sub(arrived[merchantID]))
				least = append(least, first[i].Sub(arrivals[i]))
			}
			for i, at := range originals(start, arrivals) {
				original = append(original, at.Sub(arrivals[i]))
			}
			slices.Sort(waits)
			slices.Sort(original)
			slices.Sort(least)
			for _, o := range s.outcomes {
				if o.Waited > bootstrap.MaxSleep {
					t.Errorf("a job slept for %v", o.Waited)
				}
				if down := test.down[1] > 0; !down && (o.Kind == bootstrap.Failed || !test.killed && o.Attempt != 1) {
					t.Errorf("a job ended as %s at attempt %d", o.Kind, o.Attempt)
				}
			}
			t.Logf("from enqueued to prefetched: mean %v, p99 %v. Were Sufrah and the cache always well: mean %v, p99 %v; by the original's rule: "+
				"mean %v, p99 %v. %d calls", mean(waits), waits[len(waits)*99/100], mean(least), least[len(least)*99/100],
				mean(original), original[len(original)*99/100], seen.calls)
		})
	}
}

// TestOutage: many jobs come as Sufrah goes down, and some during the outage of half an hour. One call at a time tries
// Sufrah, and only the first attempts fail. A job that comes at the end is done within 15 s, because jobs older than ten
// minutes take no slot.
func TestOutage(t *testing.T) {
	t.Parallel()
	const every = 2 * time.Minute
	burst, outage := 40, 30*time.Minute
	if testing.Short() {
		burst, outage = 8, 11*time.Minute
	}
	s := setupAs(t, wiring{rate: designed, skews: skews, guarded: true})
	start, seen := s.Now(), s.watch()
	s.fail(t, sandbox.Behavior{FailRate: 1, Status: 503})
	enqueue := func(name string, after time.Duration) {
		at := start.Add(after)
		s.plan = append(s.plan, planned{at, func() { s.enqueueAt(t, name, at) }})
	}
	jobs := burst
	for i := range burst {
		enqueue(fmt.Sprint("merchant-", i), 0)
	}
	for after := every; after < outage; after += every {
		enqueue(fmt.Sprint("merchant-", jobs), after)
		jobs++
	}
	s.plan = append(s.plan, planned{start.Add(outage), func() { s.fail(t, sandbox.Behavior{Status: 503}) }})
	enqueue("merchant-after", outage)
	s.start(t, s.invoke)
	s.settle(t)

	ended := map[bootstrap.Kind]int{}
	for _, o := range s.outcomes {
		ended[o.Kind]++
	}
	if all := ended[bootstrap.Completed] + ended[bootstrap.Partial] + ended[bootstrap.Late]; all != jobs+1 || len(s.engine.Messages("dead")) > 0 {
		t.Errorf("%d jobs of %d have a good end: %v; dead letters %v", all, jobs+1, ended, s.counts("dead"))
	}
	if took := seen.prefetched["merchant-after"].Sub(start.Add(outage)); took < 0 || took > 15*time.Second {
		t.Errorf("the job that came at the end waited for %v", took)
	}
	if ended[bootstrap.Failed] > 2*concurrency {
		t.Errorf("%d attempts failed, want those that were under way", ended[bootstrap.Failed])
	}
	calls := seen.calls - 2*(ended[bootstrap.Completed]+ended[bootstrap.Partial])
	if most := int(outage/(5*time.Second)) + 20; calls > most {
		t.Errorf("%d calls in vain, want %d at most", calls, most)
	}
	t.Logf("%d calls in vain in %v; the job after it waited for %v; %v", calls, outage, seen.prefetched["merchant-after"].Sub(start.Add(outage)), ended)
}

// firsts returns the first moments at which jobs that arrive at the given times may begin: twenty in any minute.
func firsts(arrivals []time.Time) []time.Time {
	first := slices.Clone(arrivals)
	for i := 20; i < len(first); i++ {
		if next := first[i-20].Add(time.Minute); next.After(first[i]) {
			first[i] = next
		}
	}
	return first
}

// originals returns the moments at which jobs that arrive at the given times begin under the original rule: twenty in each
// minute after the start.
func originals(start time.Time, arrivals []time.Time) (all []time.Time) {
	begun := map[time.Duration]int{} // by minute
	for _, at := range arrivals {
		for begun[at.Sub(start)/time.Minute] == 20 {
			at = start.Add((at.Sub(start)/time.Minute + 1) * time.Minute)
		}
		begun[at.Sub(start)/time.Minute]++
		all = append(all, at)
	}
	return all
}

// traffic has the calls that Sufrah gets.
type traffic struct {
	mu         sync.Mutex
	calls      int
	began      map[string][]time.Time // beginning of each attempt, by merchant
	prefetched map[string]time.Time   // time of the latest list, by merchant
}

// watch notes the calls to Sufrah from now on.
func (s *system) watch() *traffic {
	seen := &traffic{began: map[string][]time.Time{}, prefetched: map[string]time.Time{}}
	s.front = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		merchantID := strings.Split(r.URL.Path, "/")[5]
		recorder := httptest.NewRecorder()
		s.sufrah.ServeHTTP(recorder, r)
		seen.mu.Lock()
		seen.calls++
		// Two calls of an attempt are never further apart than an attempt may sleep.
		if began := seen.began[merchantID]; len(began) == 0 || s.Now().Sub(began[len(began)-1]) >= bootstrap.MaxSleep {
			seen.began[merchantID] = append(began, s.Now())
		}
		if recorder.Code == http.StatusOK {
			seen.prefetched[merchantID] = s.Now()
		}
		seen.mu.Unlock()
		maps.Copy(w.Header(), recorder.Header())
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	})
	return seen
}

// starts returns the times at which attempts that called Sufrah began, in order.
func (t *traffic) starts() (all []time.Time) {
	for _, began := range t.began {
		all = append(all, began...)
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

func mean(all []time.Duration) (sum time.Duration) {
	for _, d := range all {
		sum += d
	}
	return (sum / time.Duration(len(all))).Round(time.Millisecond)
}
