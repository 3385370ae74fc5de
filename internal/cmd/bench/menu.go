package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// sufrahTakes is how long Sufrah takes to answer while jobs and menus are measured.
const sufrahTakes = 100 * time.Millisecond

func (b *bench) slowSufrah() (restore func(), err error) {
	fault := b.server.Sufrah.Fault()
	before := fault.Behavior()
	err = fault.Set(sandbox.Behavior{LatencyMs: milliseconds(sufrahTakes), Status: http.StatusServiceUnavailable})
	return func() { _ = fault.Set(before) }, err
}

// jobs reports how much longer a job takes than Sufrah's slower answer, and the same for two simultaneous bare requests.
// Products are switched off, because they would be another call to Sufrah.
func (b *bench) jobs(ctx context.Context) error {
	restore, err := b.slowSufrah()
	defer restore()
	if err != nil {
		return err
	}
	environment, err := b.server.FunctionEnvironment("welcome-bootstrap")
	if err != nil {
		return err
	}
	instance, err := b.start(ctx, function("welcome-bootstrap"), append(environment, "JOB_RATE_PER_MINUTE=60000", "BOOTSTRAP_PRODUCT_CALLS=0"), io.Discard)
	if err != nil {
		return err
	}
	defer instance.Close()
	var took, bare []float64
	for n := range b.rounds {
		merchant := fmt.Sprint("merchant-job-", n)
		d, _, err := invoke(ctx, instance, job(merchant))
		if err != nil {
			return err
		}
		took = append(took, milliseconds(d-sufrahTakes))
		begin := time.Now()
		if err := b.fetch(ctx, merchant); err != nil {
			return err
		}
		bare = append(bare, milliseconds(time.Since(begin)-sufrahTakes))
	}
	b.report("bootstrap job, beyond Sufrah's slowest call", median(took), "ms", median(bare), "≤ 5 ms")
	return nil
}

// fetch gets both lists of a merchant with bare requests.
func (b *bench) fetch(ctx context.Context, merchant string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, list := range []string{"categories", "branches"} {
		group.Go(func() error {
			address := b.server.BaseURL + "/sandbox/api/sufrah" + sandbox.SufrahBasePath + "/merchants/" + merchant + "/" + list
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
			if err != nil {
				return err
			}
			r.Header.Set("Authorization", "ApiToken key")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			_, err = io.Copy(io.Discard, response.Body)
			return err
		})
	}
	return group.Wait()
}

// lines is a log that is safe for concurrent use.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// menus reports how long it takes to get a menu from the cache, and as the baseline from Sufrah.
func (b *bench) menus(ctx context.Context) error {
	restore, err := b.slowSufrah()
	defer restore()
	if err != nil {
		return err
	}
	environment, err := b.server.FunctionEnvironment("process-message")
	if err != nil {
		return err
	}
	// No jobs: they would cache the menus before a customer asks.
	environment = append(environment, "WEBHOOK_URL="+devstack.EventsWebhookURL, "BOOTSTRAP_QUEUE_URL="+b.server.BaseURL+devstack.SQSPath+"/000000000000/nowhere")
	log := new(lines)
	instance, err := b.start(ctx, function("process-message"), environment, log)
	if err != nil {
		return err
	}
	defer instance.Close()
	for restaurant := 1; restaurant <= min(b.rounds, 100); restaurant++ {
		for n, body := range []string{"hello", "menu", "menu"} {
			from, to := fmt.Sprintf("+96652%07d", restaurant), fmt.Sprintf("+96611%07d", restaurant)
			if _, _, err := invoke(ctx, instance, message(from, to, n, body)); err != nil {
				return err
			}
		}
	}
	if err := instance.Close(); err != nil { // after this the log is complete
		return err
	}
	lookups := map[string][]float64{}
	for line := range strings.Lines(log.text.String()) {
		var entry struct {
			Message, Source string
			LookupMs        float64
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "answer sent" {
			lookups[entry.Source] = append(lookups[entry.Source], entry.LookupMs)
		}
	}
	if len(lookups["fresh"]) == 0 || len(lookups["fetched"]) == 0 {
		return fmt.Errorf("unexpected sources of answers in the log: %v", lookups)
	}
	b.report(fmt.Sprintf("menu from the cache, against one fetched from a Sufrah that takes %v", sufrahTakes),
		median(lookups["fresh"]), "ms", median(lookups["fetched"]), "≤ 0.05 × baseline")
	return nil
}

// answers reports the duration of a message that is answered with a list, and as the baseline that of a tap on a branch,
// which is answered with text. The list exists, and the content of both is cached.
func (b *bench) answers(ctx context.Context) error {
	environment, err := b.server.FunctionEnvironment("process-message")
	if err != nil {
		return err
	}
	instance, err := b.start(ctx, function("process-message"), append(environment, "WEBHOOK_URL="+devstack.EventsWebhookURL), io.Discard)
	if err != nil {
		return err
	}
	defer instance.Close()
	var lists, texts []float64
	for restaurant := 1; restaurant <= min(b.rounds, 100); restaurant++ {
		from, to := fmt.Sprintf("+96656%07d", restaurant), fmt.Sprintf("+96611%07d", restaurant)
		say := func(n int, body string) (time.Duration, sandbox.SentMessage, error) {
			return b.answered(ctx, instance, from, message(from, to, n, body))
		}
		var branches sandbox.SentMessage
		for n, body := range []string{"hello", "menu", "branches"} {
			if _, branches, err = say(n, body); err != nil {
				return err
			}
		}
		if branches.ListPicker == nil {
			return fmt.Errorf("the branches were sent as %+v", branches)
		}
		listed, menu, err := say(3, "menu")
		if err != nil {
			return err
		}
		told, branch, err := b.answered(ctx, instance, from, tap(from, to, 4, branches.ListPicker.Items[0].ID))
		if err != nil {
			return err
		}
		if menu.ListPicker == nil || branch.ContentSID != "" {
			return fmt.Errorf("the menu was sent as %+v, and a branch as %+v", menu, branch)
		}
		lists, texts = append(lists, milliseconds(listed)), append(texts, milliseconds(told))
	}
	b.report("answer that is a list, made ahead, against one that is text", median(lists), "ms", median(texts), "")
	return nil
}

// answered lets an instance take a customer's message. It returns the duration and the messages that the customer was sent.
func (b *bench) answered(ctx context.Context, of instance, customer string, event any) (time.Duration, sandbox.SentMessage, error) {
	before := len(b.server.Twilio.Messages(customer))
	took, _, err := invoke(ctx, of, event)
	if err != nil {
		return 0, sandbox.SentMessage{}, err
	}
	sent := b.server.Twilio.Messages(customer)
	if len(sent) != before+1 {
		return 0, sandbox.SentMessage{}, fmt.Errorf("the customer was sent %d messages, not one", len(sent)-before)
	}
	return took, sent[0], nil
}

// fetches reports the number of calls to Sufrah after a thousand customers have written to one merchant for the first time.
func (b *bench) fetches(ctx context.Context) error {
	const customers = 1000
	if err := b.deliver(ctx, customers, 16, func(n int) (from, to, body string, number int) {
		return fmt.Sprintf("+96653%07d", n), "+966110000140", "hello", 0
	}, nil); err != nil {
		return err
	}
	for range 1200 { // until no job is left
		var queues struct {
			Bootstrap struct{ Visible, Delayed, InFlight int }
		}
		response, err := http.Get(b.server.BaseURL + "/sandbox/queues")
		if err != nil {
			return err
		}
		err = json.NewDecoder(response.Body).Decode(&queues)
		response.Body.Close()
		if err != nil {
			return err
		}
		if queues.Bootstrap.Visible+queues.Bootstrap.Delayed+queues.Bootstrap.InFlight == 0 {
			calls := b.server.Sufrah.Calls()
			for _, list := range []string{"categories", "branches"} {
				b.state("fetches of "+list+" for 1,000 first messages", float64(calls[sandbox.SufrahBasePath+"/merchants/merchant-demo-140/"+list]), "fetches", "1")
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("the jobs did not end in time")
}

// deliver posts signed messages to the stack, some at a time, and notes the duration of each.
func (b *bench) deliver(
	ctx context.Context, messages, atOnce int, message func(n int) (from, to, body string, number int), note func(time.Duration),
) error {
	target := b.server.BaseURL + webhook.Path
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}
	defer client.CloseIdleConnections()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for n := range messages {
		group.Go(func() error {
			from, to, body, number := message(n)
			form, signature := signed(devstack.EventsWebhookURL, from, to, number, body) // the address for which the stack expects signatures
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
			if err != nil {
				return err
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-Twilio-Signature", signature)
			begin := time.Now()
			response, err := client.Do(r)
			if err != nil {
				return err
			}
			answer, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil {
				return err
			}
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("the webhook answered %d %s", response.StatusCode, answer)
			}
			if note != nil {
				note(time.Since(begin))
			}
			return nil
		})
	}
	return group.Wait()
}

// webhooks reports the number of ordinary messages that a local stack takes in a second, and the duration of each.
func (b *bench) webhooks(ctx context.Context) error {
	const customers = 64
	sent := 0 // messages of each customer so far
	from := func(n int) string { return fmt.Sprintf("+96654%07d", n%customers) }
	to := func(n int) string { return fmt.Sprintf("+96611%07d", 101+n%10) }
	if err := b.deliver(ctx, customers, 16, func(n int) (string, string, string, int) { return from(n), to(n % customers), "hello", 0 }, nil); err != nil {
		return err
	}
	for _, atOnce := range []int{1, 16, 64} {
		messages := 50 * b.rounds
		var mu sync.Mutex
		var took []time.Duration
		sent += messages
		base := sent
		begin := time.Now()
		err := b.deliver(ctx, messages, atOnce, func(n int) (string, string, string, int) {
			return from(n), to(n % customers), "hello", base + n
		}, func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			took = append(took, d)
		})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("webhook, %d at once", atOnce)
		b.state(name+", throughput", float64(messages)/time.Since(begin).Seconds(), "messages/s", "")
		b.state(name+", p50", milliseconds(median(took)), "ms", "")
		b.state(name+", p99", milliseconds(percentile(took, 99)), "ms", "")
	}
	return nil
}
