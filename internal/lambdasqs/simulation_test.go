package lambdasqs_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
)

// TestSimulation has bursts of new customers of as many merchants come in virtual time, with the cache emptied or the
// instances killed meanwhile. No minute has more than twenty jobs that call Sufrah, none is lost, and none fails. It logs how long
// menus were awaited, beside the original's rule: twenty at the start of each fixed minute.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		jobs    int
		emptied []time.Duration // after the burst
		killed  bool            // each tenth invocation, after it has done its work
		worst   time.Duration   // that a job may wait
	}{
		{20, nil, false, 0},
		{40, nil, false, time.Minute},
		{200, nil, false, 9 * time.Minute},
		{40, []time.Duration{time.Second}, false, 2 * time.Minute},
		{40, []time.Duration{30 * time.Second, 59 * time.Second}, false, 2 * time.Minute},
		{100, []time.Duration{30 * time.Second, 60 * time.Second, 90 * time.Second}, false, 7 * time.Minute},
		{60, nil, true, 8 * time.Minute},
	} {
		t.Run(fmt.Sprintf("%d jobs, emptied %v, killed %t", test.jobs, test.emptied, test.killed), func(t *testing.T) {
			t.Parallel()
			s := setup(t, designed)
			start := s.Now()
			var mu sync.Mutex
			began, fetched := map[string]time.Time{}, map[string]time.Time{} // by merchant
			s.front = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				merchantID := strings.Split(r.URL.Path, "/")[5]
				mu.Lock()
				if _, again := began[merchantID]; !again {
					began[merchantID] = s.Now()
				}
				fetched[merchantID] = s.Now()
				mu.Unlock()
				s.sufrah.ServeHTTP(w, r)
			})
			for i := range test.jobs {
				s.enqueue(t, fmt.Sprint("merchant-", i))
			}
			emptied := slices.Clone(test.emptied)
			s.before = func(next time.Time) time.Time {
				if len(emptied) > 0 && !next.Before(start.Add(emptied[0])) {
					next = start.Add(emptied[0])
					emptied = emptied[1:]
					s.redis.FlushAll()
				}
				return next
			}
			invoke := s.invoke
			if test.killed {
				invoke = s.dying(10)
			}
			s.start(t, invoke)
			s.settle(t)
			if len(began) != test.jobs || s.counts("dead") != [3]int{} {
				t.Fatalf("%d merchants of %d were fetched, dead letters %v", len(began), test.jobs, s.counts("dead"))
			}
			var starts []time.Time
			var waits, original []time.Duration
			for merchantID, at := range began {
				starts, waits = append(starts, at), append(waits, fetched[merchantID].Sub(start))
			}
			slices.SortFunc(starts, time.Time.Compare)
			slices.Sort(waits)
			for i := range waits {
				// The worst of minutes for the original's rule would add up to one more: here the burst comes at a minute's start.
				original = append(original, time.Duration(i/20)*time.Minute)
				if i >= 20 && starts[i].Sub(starts[i-20]) < time.Minute {
					t.Errorf("jobs %d to %d began within %v", i-19, i+1, starts[i].Sub(starts[i-20]))
				}
			}
			if waits[len(waits)-1] > test.worst {
				t.Errorf("a job waited for %v, want %v at most", waits[len(waits)-1], test.worst)
			}
			for _, o := range s.outcomes {
				if o.Waited > bootstrap.MaxSleep || o.Kind == bootstrap.Failed || !test.killed && o.Attempt != 1 {
					t.Errorf("a job ended as %s at attempt %d, having slept for %v", o.Kind, o.Attempt, o.Waited)
				}
			}
			t.Logf("from enqueued to prefetched: mean %v, p99 %v; by the original's rule: mean %v, p99 %v",
				mean(waits), waits[len(waits)*99/100], mean(original), original[len(original)*99/100])
		})
	}
}

func mean(all []time.Duration) (sum time.Duration) {
	for _, d := range all {
		sum += d
	}
	return (sum / time.Duration(len(all))).Round(time.Millisecond)
}
