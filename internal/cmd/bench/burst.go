package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

// bursts reports how long after their messages the menus of forty new customers, of as many merchants, are prefetched: twenty
// within a second, the others as soon as the rate of twenty a minute allows. It runs in real time, on a stack of its own.
// Products are switched off, because they would be another call to Sufrah.
func (b *bench) bursts(ctx context.Context) error {
	const customers = 40
	var unknown error
	server, err := devstack.Serve(ctx, "template.yaml", 0, io.Discard, signedAsEvents, func(o *devstack.Options) {
		changed, err := o.Definition.With("BootstrapProductCalls", "0")
		if unknown = err; err == nil {
			o.Definition = changed
		}
	})
	if err := errors.Join(err, unknown); err != nil {
		return err
	}
	defer server.Close()
	own := &bench{server: server}
	if _, err := own.slowSufrah(); err != nil {
		return err
	}
	started := time.Now()
	var mu sync.Mutex
	sent := map[string]time.Time{} // by merchant
	delivered := make(chan error, 1)
	go func() {
		delivered <- own.deliver(ctx, customers, customers, func(n int) (from, to, body string, number int) {
			mu.Lock()
			defer mu.Unlock()
			sent[fmt.Sprintf("merchant-demo-%03d", n+1)] = time.Now()
			return fmt.Sprintf("+96655%07d", n), fmt.Sprintf("+96611%07d", n+1), "hello", 0
		}, nil)
	}()
	prefetched := map[string]time.Time{}
	for len(prefetched) < customers {
		outcomes, err := jobOutcomes(ctx, server.BaseURL)
		if err != nil {
			return err
		}
		for _, o := range outcomes {
			if _, known := prefetched[o.MerchantID]; !known && o.Outcome == bootstrap.Completed.String() {
				prefetched[o.MerchantID] = time.Now()
			}
		}
		if time.Since(started) > 3*time.Minute {
			return fmt.Errorf("%d of %d jobs are done after three minutes", len(prefetched), customers)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-delivered:
			if err != nil {
				return err
			}
			delivered = nil // the jobs are still running
		case <-time.After(10 * time.Millisecond):
		}
	}
	var waits []time.Duration
	for merchantID, at := range prefetched {
		begin, known := sent[merchantID]
		if !known {
			return fmt.Errorf("a job prefetched merchant %q, which no customer wrote to", merchantID)
		}
		waits = append(waits, at.Sub(begin))
	}
	slices.Sort(waits)
	b.state("40 new customers at once: menu of the 20th prefetched after", waits[customers/2-1].Seconds(), "s", "≤ 1.0 s")
	b.state("40 new customers at once: menu of the 40th prefetched after", waits[customers-1].Seconds(), "s", "≤ 61.5 s")
	return nil
}

// outcome is a job's outcome as the sandbox shows it.
type outcome struct {
	MerchantID string `json:"merchantId"`
	Outcome    string `json:"outcome"`
}

func jobOutcomes(ctx context.Context, baseURL string) (outcomes []outcome, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/sandbox/jobs", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	err = json.NewDecoder(response.Body).Decode(&outcomes)
	return outcomes, errors.Join(err, ctx.Err())
}
