package conversation

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/clock"
	known "github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/task"
)

// Tenant is the restaurant with the number that a customer wrote to, and its bot.
type Tenant struct {
	Restaurant restaurant.Restaurant
	Bot        restaurant.Bot
}

// Incoming is a customer's message as Twilio delivers it.
type Incoming struct {
	MessageID     string // MessageSid
	Customer      string // E.164, or a BSUID if the number isn't known
	UserID        string // the BSUID that came beside the number, or ""
	ProfileName   string
	Body          string
	ButtonPayload string
	ButtonText    string
	ListID        string
	ListTitle     string
	OptOutType    string // STOP, START or HELP, if Twilio found such a keyword of its own
	FromAd        bool   // the customer tapped an ad or a page's button to write it
}

// Faults of sending. Any other error of a Sender may pass: sending can be tried again.
var (
	// ErrUndeliverable says that the customer's number can't receive messages.
	ErrUndeliverable = errors.New("the customer can't receive messages")
	// ErrTemplateRejected says that the template can't be sent, as it is or to this customer now.
	ErrTemplateRejected = errors.New("the template can't be sent")
)

// Outgoing is a message to be sent: a content, or else a text of at most MaxTextLength characters.
type Outgoing struct {
	To         string
	Kind       delivery.Kind
	Category   delivery.Category
	ContentSID string
	Variables  map[string]string // the content's, by their numbers
	Text       string
	Instead    bool           // the text is in place of a template that Twilio took and that failed
	Place      delivery.Place // where the ledger keeps it
	noted      *note
}

// receiver is the customer that a reply goes to.
type receiver struct {
	id        string    // E.164 or a BSUID
	freeUntil time.Time // end of the time in which messages are free, for a customer from an ad
	noted     *note     // of an answer
}

// note settles an answer by the entries of its messages in the ledger. The first message that Twilio takes has the place that
// the Recorder knows. So a single write notes the answer and enters all of its messages.
type note struct {
	place   delivery.Place // the place of the next message; zero once a message has used it
	entries []ledger.Entry // of the messages that Twilio took
}

// template is a message that is sent as a template, in the category that it was approved with.
func (s *Service) template(kind delivery.Kind, to receiver, sid string, variables map[string]string) Outgoing {
	category, known := s.Categories[sid]
	if !known {
		category = delivery.Utility
	}
	return s.outgoing(to, Outgoing{Kind: kind, Category: category, ContentSID: sid, Variables: variables})
}

// outgoing addresses a message. While messages to the receiver are free, its category is that.
func (s *Service) outgoing(to receiver, m Outgoing) Outgoing {
	m.To, m.noted = to.id, to.noted
	if s.Now().Before(to.freeUntil) {
		m.Category = delivery.FreeEntryPoint
	}
	return m
}

// Sender sends WhatsApp messages on a tenant's behalf. Sending twice sends two messages.
type Sender interface {
	// Send sends a message and returns its SID at Twilio, or "" if Twilio didn't take it or its response was lost. It may
	// fail with ErrUndeliverable, or with ErrTemplateRejected if the message is a content. A failure with a SID means that
	// Twilio took the message: status callbacks may follow.
	Send(ctx context.Context, t Tenant, m Outgoing) (sid string, err error)
}

// Queue takes bootstrap jobs. A job may be delivered more than once.
type Queue interface {
	Enqueue(ctx context.Context, j bootstrap.Job) error
}

// Menu returns merchants' lists, from the nearest source that has them.
type Menu interface {
	Categories(ctx context.Context, merchantID string) ([]menu.Category, cache.Source, error)
	Branches(ctx context.Context, merchantID string) ([]menu.Branch, cache.Source, error)
	// Renewed waits until lists that were returned out of date are refreshed, or their refresh has failed.
	Renewed(ctx context.Context)
}

// Templates knows the ids of content templates by their keys.
type Templates interface {
	SID(ctx context.Context, key string) (sid string, known bool)
}

// Ledger records the statuses of sent messages.
type Ledger interface {
	// Place returns a place for a message that a restaurant is about to send.
	Place(restaurantID string, at time.Time) delivery.Place
	// Taken enters meanwhile that Twilio took a message. Entered waits for that.
	Taken(ctx context.Context, restaurantID string, e ledger.Entry)
	Entered(ctx context.Context)
	// Report enters a callback's report of a message. It fails with outage.ErrUnavailable.
	Report(ctx context.Context, restaurantID string, r delivery.Report) error
	// Enter enters that Twilio took messages, in their order. It fails with outage.ErrUnavailable; the last entries may be
	// missing then.
	Enter(ctx context.Context, restaurantID string, entries []ledger.Entry) error
}

// Limiter counts automated answers in the current minute, for a restaurant or for a single customer of it.
type Limiter interface {
	// Allow counts one more and reports whether it is within the limit; -1 is no limit.
	Allow(ctx context.Context, whose string, limit int64) bool
}

// Events are told to metrics. Each func may be nil.
type Events struct {
	WelcomeSent   func()
	WelcomeAsText func() // in place of a template that failed after Twilio had taken it
	// MessageSent is called for each message that Twilio took, MessageReported for each callback of one.
	MessageSent     func(delivery.Kind)
	MessageReported func(delivery.Report)
	// WelcomeMissed is called for each try at a welcome that is over WelcomeWithin after its message came, or that fails and
	// not for the customer's reasons.
	WelcomeMissed func()
	EnqueueFailed func()
	AnswerSent    func(source cache.Source, took time.Duration)
	AnswerLimited func()
	// OptedOut and OptedIn are called once for each message that makes a difference.
	OptedOut, OptedIn func()
	// QuotaAlert is called once in a month for each of a restaurant's thresholds, 80, 90 and 100 percent.
	QuotaAlert func(percent int64)
}

// Service takes messages. All fields are needed, except the fields of Events.
type Service struct {
	Recorder        Recorder
	WelcomeFailures WelcomeFailures
	QuotaAlerter    QuotaAlerter
	Sender          Sender
	Ledger          Ledger
	Queue           Queue
	Menu            Menu
	Templates       Templates
	// Products, Lists and Choices may be nil: then a category leads back to the menu, all lists are text, and a category
	// shows the products of the first branch.
	Products Products
	Lists    Lists
	Choices  Choices
	// ListTemplates are the SIDs of templates that show a menu or branches, by TemplateCategories or TemplateBranches, an
	// underscore and the number of their rows; without a number they have ten.
	ListTemplates map[string]string
	// Categories are WhatsApp's of templates, by SID; of others it is Utility.
	Categories map[string]delivery.Category

	Limiter   Limiter
	Now       func() time.Time
	NewID     func() string                // random, for deliveries
	RequestID func(context.Context) string // names the request in the log
	Log       *slog.Logger
	Events    Events
}

// WelcomeWithin is the service level of welcomes: Twilio has taken them so long after the message came.
const WelcomeWithin = 10 * time.Second

// Bounds of a delivery's waiting.
const (
	// enqueueTimeout keeps a queue that doesn't answer from holding up the answer to Twilio.
	enqueueTimeout = 2 * time.Second
	// Another delivery of the same message takes no longer than its call to Twilio: waiting for it spares Twilio an error
	// and another delivery. The first wait doubles up to the last; together they are some three seconds.
	firstWait, lastWait = 50 * time.Millisecond, 1600 * time.Millisecond
	// Settling is tried for long: a welcome that went out without being noted would go out again.
	settleAttempts = 6
	// noteTime is the part of an invocation that sending leaves for noting its result.
	noteTime        = 2 * time.Second
	settleFirstWait = 50 * time.Millisecond
)

// Receive takes a delivery of a message: it records it, and sends the replies. It fails with ErrElsewhere,
// outage.ErrUnavailable or the error that kept a reply from being sent; the message should then be delivered again.
func (s *Service) Receive(ctx context.Context, t Tenant, in Incoming) error {
	_, asks := wishOf(in)
	m := Message{
		ID: in.MessageID, RestaurantID: t.Restaurant.ID, Customer: in.Customer, ReceivedAt: s.Now(), Delivery: s.NewID(),
		Asks: asks, Consent: consentOf(in), UserID: in.UserID, FromAd: in.FromAd,
	}
	if asks {
		m.Place = s.Ledger.Place(t.Restaurant.ID, m.ReceivedAt)
	}
	recorded, err := s.Recorder.Record(ctx, m)
	if err != nil {
		return err
	}
	log := s.Log.With(slog.String("requestId", s.RequestID(ctx)), logging.Restaurant("restaurantId", m.RestaurantID),
		slog.String("messageId", m.ID), logging.Customer("customer", m.Customer))
	log.LogAttrs(ctx, slog.LevelInfo, "message recorded", slog.Bool("repeat", recorded.Repeat), slog.Bool("first", recorded.First))
	m.Home = recorded.Home
	if recorded.Home != "" && known.IsUserID(in.Customer) {
		in.Customer = recorded.Home // replies go to the number where it is known
	}
	s.noteConsent(ctx, log, m, recorded)
	if m.Consent == OptsOut {
		return nil
	}

	defer s.Menu.Renewed(ctx) // an instance is frozen once it has answered
	defer s.Ledger.Entered(ctx)
	var completing sync.WaitGroup // beside the replies: the customer comes first
	var completeErr error
	o := newOpening(recorded)
	completing.Go(func() { completeErr = s.complete(ctx, m, recorded, o) })
	if recorded.OptedOut {
		err = s.keepQuiet(ctx, log, m, recorded)
	} else {
		err = s.replyTo(ctx, log, t, m, in, recorded, o)
	}
	completing.Wait()
	if completeErr == nil && recorded.Opened {
		s.alertQuota(ctx, log, t, m, recorded.OpenedAt)
	}
	if completeErr != nil {
		err = errors.Join(err, completeErr)
	}
	return err
}

// replyTo sends the replies to a recorded delivery.
func (s *Service) replyTo(
	ctx context.Context, log *slog.Logger, t Tenant, m Message, in Incoming, recorded Recorded, o *opening,
) error {
	to := receiver{id: in.Customer, freeUntil: recorded.FreeUntil}
	send := func(ctx context.Context) error { return s.welcome(ctx, log, t, m, in, to) }
	if recorded.WelcomeFailed {
		send = func(ctx context.Context) error { return s.welcomeAsText(ctx, log, t, to, in.ProfileName) }
	}
	welcome := func(ctx context.Context) error {
		err := send(ctx)
		if s.Now().Sub(m.ReceivedAt) > WelcomeWithin || err != nil && !errors.Is(err, ErrUndeliverable) {
			call(s.Events.WelcomeMissed)
		}
		return err
	}
	// The message before may have just taken the lease on this customer's welcome, and then sends nothing.
	patient := recorded.First || m.Consent == OptsIn
	err := s.reply(ctx, log, m, Welcome, recorded.Welcome, patient, welcome, func(ctx context.Context) error {
		if o.settles() {
			return nil
		}
		return s.Recorder.Settle(ctx, m, Welcome)
	})
	o.end()
	if errors.Is(err, ErrElsewhere) && !patient {
		err = nil // the holder of the lease sends it
	}
	if err != nil {
		err = fmt.Errorf("welcoming: %w", err)
	}
	wish, asks := wishOf(in)
	if recorded.First || !asks {
		return err
	}
	// A customer can have the menu even if the welcome can't be sent.
	to.noted = &note{place: m.Place}
	answer := func(ctx context.Context) error { return s.answer(ctx, log, t, to, wish, recorded.Repeat) }
	settle := func(ctx context.Context) error {
		if len(to.noted.entries) > 0 {
			return s.Ledger.Enter(ctx, t.Restaurant.ID, to.noted.entries)
		}
		return s.Recorder.Settle(ctx, m, Answer)
	}
	if answerErr := s.reply(ctx, log, m, Answer, recorded.Answer, true, answer, settle); answerErr != nil {
		err = errors.Join(err, fmt.Errorf("answering: %w", answerErr))
	}
	return err
}

// settling returns a function that notes in the Recorder that a reply went out.
func (s *Service) settling(m Message, r Reply) func(context.Context) error {
	return func(ctx context.Context) error { return s.Recorder.Settle(ctx, m, r) }
}

// reply has send send a reply if it is this delivery's to send, and then settle note it, which is tried for long. Where sending
// fails, the lease is given back.
func (s *Service) reply(
	ctx context.Context, log *slog.Logger, m Message, r Reply, state ReplyState, patient bool, send, settle func(context.Context) error,
) error {
	held, err := s.hold(ctx, m, r, state, patient)
	if err != nil || !held {
		return err
	}
	sending, cancel := leaving(ctx, noteTime)
	stop := s.renew(ctx, m, r, cancel)
	defer stop()
	err = send(sending)
	cancel()
	if err != nil && !errors.Is(err, ErrUndeliverable) {
		stop() // a lease that is renewed after its release would be held by nobody
		if releaseErr := s.Recorder.Release(ctx, m, r); releaseErr != nil {
			log.LogAttrs(ctx, slog.LevelWarn, "lease on the reply not released: the reply waits until the lease expires", slog.Any("error", releaseErr)) // it ends by itself
		}
		return err
	}
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "customer can't be reached: the reply is given up", slog.Any("error", err))
	}
	if err := insist(ctx, func() error { return settle(ctx) }); err != nil {
		// It went out. Asking for another delivery would send it again; saying nothing may, if ever.
		log.LogAttrs(ctx, slog.LevelError, "reply not settled: another delivery may send it again", slog.Any("error", err))
	}
	return nil
}

// renew keeps the lease on a reply alive until it is told to stop. A lease that can't be kept, or that somebody else has taken,
// breaks the sending off: two would be sending.
func (s *Service) renew(ctx context.Context, m Message, r Reply, breakOff func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		ticker := time.NewTicker(renewEvery)
		defer ticker.Stop()
		for renewed := time.Now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			began := time.Now()
			claiming, done := context.WithTimeout(ctx, renewEvery)
			state, err := s.Recorder.Claim(claiming, m, r, s.Now())
			done()
			switch {
			case err == nil && state == ReplyHeld:
				renewed = began
			case err == nil, time.Since(renewed) > LeaseLength-2*ClockSkew-2*renewEvery:
				breakOff()
				return
			}
		}
	})
	return func() {
		cancel()
		renewing.Wait()
	}
}

// renewEvery is how often a lease is renewed. Sending is broken off before the lease ends by a clock that is ahead.
const renewEvery = time.Second

// leaving returns a context that ends so long before ctx does.
func leaving(ctx context.Context, rest time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-rest))
	}
	return context.WithCancel(ctx)
}

// hold returns whether the reply is this delivery's to send, which it waits to learn while another delivery of the same
// message is sending it. It fails with ErrElsewhere when that takes too long, and at once if it isn't patient.
func (s *Service) hold(ctx context.Context, m Message, r Reply, state ReplyState, patient bool) (bool, error) {
	for wait := firstWait; ; wait *= 2 {
		switch state {
		case ReplySettled:
			return false, nil
		case ReplyHeld:
			return true, nil
		case ReplyElsewhere:
			if wait > lastWait || !patient {
				return false, ErrElsewhere
			}
			if err := clock.Sleep(ctx, wait); err != nil {
				return false, err
			}
		}
		var err error
		if state, err = s.Recorder.Claim(ctx, m, r, s.Now()); err != nil {
			return false, err
		}
	}
}

// insist repeats note until it succeeds, for a long time: without the note, the noted work would be done again.
func insist(ctx context.Context, note func() error) error {
	for attempt, wait := 1, settleFirstWait; ; attempt, wait = attempt+1, 2*wait {
		err := note()
		if err == nil || attempt == settleAttempts {
			return err
		}
		if sleepErr := clock.Sleep(ctx, wait); sleepErr != nil {
			return err
		}
	}
}

// welcome greets a new customer and, at the same time, enqueues the job that prefetches the customer's likely next
// requests. If the job can't be enqueued, the customer is greeted all the same.
func (s *Service) welcome(ctx context.Context, log *slog.Logger, t Tenant, m Message, in Incoming, to receiver) error {
	var enqueued sync.WaitGroup
	enqueued.Go(func() {
		if err := s.enqueue(ctx, log, t, in); err != nil {
			log.LogAttrs(ctx, slog.LevelError, "bootstrap job not enqueued", slog.String("jobId", jobID(in)),
				slog.String("merchantId", t.Restaurant.MerchantID), slog.Any("error", err))
			call(s.Events.EnqueueFailed)
		}
	})
	defer enqueued.Wait() // an instance is frozen once it has answered

	sid, _ := s.Templates.SID(ctx, TemplateWelcome)
	taken, err := s.send(ctx, log, t, to, delivery.Welcome, welcomeContent(t.Restaurant.Name, in.ProfileName, sid))
	if errors.Is(err, ErrTemplateRejected) {
		m.ID = taken
		return s.textAfterAnswer(ctx, log, t, m, to, in.ProfileName)
	}
	if err != nil {
		return err
	}
	log.LogAttrs(ctx, slog.LevelInfo, "welcome sent")
	call(s.Events.WelcomeSent)
	return nil
}

func (s *Service) enqueue(ctx context.Context, log *slog.Logger, t Tenant, in Incoming) (err error) {
	defer task.Recover(&err) // no failure of the queue, not even a panic, costs a welcome
	ctx, cancel := context.WithTimeout(ctx, enqueueTimeout)
	defer cancel()
	j := bootstrap.Job{
		Version: bootstrap.Version, JobID: jobID(in), RestaurantID: t.Restaurant.ID, MerchantID: t.Restaurant.MerchantID,
		CustomerWa: in.Customer, ProfileName: variable(in.ProfileName), EnqueuedAt: s.Now().UTC().Truncate(time.Millisecond),
		TwilioAccountSID: t.Bot.TwilioAccountSID,
	}
	if j.MerchantID == "" {
		log.LogAttrs(ctx, slog.LevelInfo, "no bootstrap job: the restaurant has no merchant id")
		return nil
	}
	if err := s.Queue.Enqueue(ctx, j); err != nil {
		return err
	}
	log.LogAttrs(ctx, slog.LevelInfo, "bootstrap job enqueued", slog.String("jobId", j.JobID), slog.String("merchantId", j.MerchantID))
	return nil
}

func jobID(in Incoming) string { return "job-" + in.MessageID }

// answer sends the list that a message asks for, unless the restaurant has reached its limit of answers in this minute. A
// repeat of a message isn't counted again if its answer wasn't sent.
func (s *Service) answer(ctx context.Context, log *slog.Logger, t Tenant, to receiver, wish listpicker.Row, repeat bool) error {
	// The customer's own limit comes first: a customer above it uses up none of the other customers' answers.
	if !repeat && !s.Limiter.Allow(ctx, customersAnswers(t.Restaurant.ID, to.id), AnswersPerCustomer) {
		log.LogAttrs(ctx, slog.LevelWarn, "answer withheld: over the customer's limit of answers a minute",
			slog.Int64("limit", AnswersPerCustomer))
		call(s.Events.AnswerLimited)
		return nil
	}
	if !repeat && !s.Limiter.Allow(ctx, t.Restaurant.ID, t.Bot.Limits.AnswersPerMinute) {
		log.LogAttrs(ctx, slog.LevelWarn, "answer withheld: over the restaurant's limit of answers a minute",
			slog.Int64("limit", t.Bot.Limits.AnswersPerMinute))
		call(s.Events.AnswerLimited)
		return nil
	}
	start := s.Now()
	content, source, err := s.show(ctx, log, t, to.id, wish)
	if err != nil {
		return err
	}
	ready := s.Now()
	if _, err := s.send(ctx, log, t, to, delivery.List, content); err != nil {
		return err
	}
	log.LogAttrs(ctx, slog.LevelInfo, "answer sent", slog.String("source", source.String()),
		slog.Float64("lookupMs", milliseconds(ready.Sub(start))), slog.Float64("sendMs", milliseconds(s.Now().Sub(ready))))
	if s.Events.AnswerSent != nil {
		s.Events.AnswerSent(source, ready.Sub(start))
	}
	return nil
}

// AnswersPerCustomer is how many automated answers one customer gets in a minute, within the restaurant's limit: a machine that
// answers ours doesn't go on for long, and leaves answers for others.
const AnswersPerCustomer = 10

// customersAnswers names the counter of a customer's answers, without the customer's number.
func customersAnswers(restaurantID, customer string) string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(customer)) // never fails
	return restaurantID + ":" + strconv.FormatUint(hash.Sum64(), 36)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// permanent is an error that trying again doesn't change, such as *sufrah.Error if the merchant is unknown.
type permanent interface{ Retryable() bool }

func retryable(err error) bool {
	var p permanent
	return !errors.As(err, &p) || p.Retryable()
}

// send sends a content as its template, or else as its list, or else as text. A list that is sent as text has the kind Text.
// If Twilio took a welcome's template and called it failed, send returns ErrTemplateRejected with the SID: a callback may
// report the failure as well, and only the first of the two reports may send text.
func (s *Service) send(ctx context.Context, log *slog.Logger, t Tenant, to receiver, kind delivery.Kind, c Content) (taken string, err error) {
	if c.TemplateSID != "" {
		taken, err := s.sendOne(ctx, log, t, s.template(kind, to, c.TemplateSID, c.Variables))
		if !errors.Is(err, ErrTemplateRejected) || taken != "" && kind == delivery.Welcome {
			return taken, err
		}
		log.LogAttrs(ctx, slog.LevelWarn, "template rejected: the message is sent without it", slog.String("contentSid", c.TemplateSID), slog.Any("error", err))
	}
	if c.List != nil {
		if sent, err := s.sendList(ctx, log, t, to, *c.List); sent {
			return "", err
		}
	}
	if kind == delivery.List {
		kind = delivery.Text
	}
	for i, text := range c.Texts {
		_, err := s.sendOne(ctx, log, t, s.outgoing(to, Outgoing{Kind: kind, Category: delivery.Service, Text: text}))
		if err != nil && i > 0 {
			// Another delivery would send the first texts again, and perhaps get no further.
			log.LogAttrs(ctx, slog.LevelError, "answer cut short: its remaining texts are not sent",
				slog.Int("sent", i), slog.Int("texts", len(c.Texts)), slog.Any("error", err))
			return "", nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// sendOne sends one message, and has the log say under which SID its statuses are reported.
func (s *Service) sendOne(ctx context.Context, log *slog.Logger, t Tenant, m Outgoing) (sid string, err error) {
	settles := m.noted != nil && !m.noted.place.IsZero()
	if settles {
		m.Place = m.noted.place
	} else {
		m.Place = s.Ledger.Place(t.Restaurant.ID, s.Now())
	}
	sid, err = s.Sender.Send(ctx, t, m)
	if err == nil || sid != "" {
		entry := ledger.Entry{Place: m.Place, Class: ledger.Class{Kind: m.Kind, Category: m.Category}, Status: delivery.Sent}
		if settles {
			m.noted.place = delivery.Place{}
		}
		switch {
		case err != nil:
			entry.Status = delivery.Failed
			s.Ledger.Taken(ctx, t.Restaurant.ID, entry)
		case settles, m.noted != nil && len(m.noted.entries) > 0:
			m.noted.entries = append(m.noted.entries, entry)
		default:
			s.Ledger.Taken(ctx, t.Restaurant.ID, entry)
		}
	}
	if err == nil {
		if s.Events.MessageSent != nil {
			s.Events.MessageSent(m.Kind)
		}
		log.LogAttrs(ctx, slog.LevelInfo, "message sent", slog.String("sid", sid), slog.String("kind", string(m.Kind)),
			slog.String("category", string(m.Category)), slog.String("contentSid", m.ContentSID))
	}
	return sid, err
}

func call(f func()) {
	if f != nil {
		f()
	}
}
