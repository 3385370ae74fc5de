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
	Customer      string // E.164, or a BSUID if the number is unknown
	UserID        string // the BSUID that came beside the number, or ""
	ProfileName   string
	Body          string
	ButtonPayload string
	ButtonText    string
	ListID        string
	ListTitle     string
	OptOutType    string // STOP, START or HELP, if Twilio found one of its keywords
	FromAd        bool   // the customer came from an ad or a page's button
}

// Faults of sending. Any other error of a Sender may pass, so that a later attempt may succeed.
var (
	// ErrUndeliverable says that the customer's number can't receive messages.
	ErrUndeliverable = errors.New("the customer can't receive messages")
	// ErrTemplateRejected says that the template can't be sent in this form, or to this customer now.
	ErrTemplateRejected = errors.New("the template can't be sent")
)

// Outgoing is a message to be sent: a content, or a text of at most MaxTextLength characters.
type Outgoing struct {
	To         string
	Kind       delivery.Kind
	Category   delivery.Category
	ContentSID string
	Variables  map[string]string // the content's, by number
	Text       string
	Instead    bool           // the text replaces a template that failed after Twilio had taken it
	Place      delivery.Place // the message's place in the ledger
	noted      *note
}

// receiver is the customer that a reply goes to.
type receiver struct {
	id        string    // E.164 or a BSUID
	freeUntil time.Time // end of the time in which messages are free, for a customer from an ad
	noted     *note     // of an answer; nil for other messages
}

// note collects the ledger entries of an answer's messages, for a single write. The first message that Twilio takes gets the
// answer's Message.Place: its entry there settles the answer.
type note struct {
	place   delivery.Place // place of the next message; zero after its use
	entries []ledger.Entry // of the messages that Twilio took
}

// template returns a template's message, in the template's approved category.
func (s *Service) template(kind delivery.Kind, to receiver, sid string, variables map[string]string) Outgoing {
	category, known := s.Categories[sid]
	if !known {
		category = delivery.Utility
	}
	return s.outgoing(to, Outgoing{Kind: kind, Category: category, ContentSID: sid, Variables: variables})
}

// outgoing addresses a message. While messages to the receiver are free, the message gets the free category.
func (s *Service) outgoing(to receiver, m Outgoing) Outgoing {
	m.To, m.noted = to.id, to.noted
	if s.Now().Before(to.freeUntil) {
		m.Category = delivery.FreeEntryPoint
	}
	return m
}

// Sender sends WhatsApp messages on a tenant's behalf. Two calls send two messages.
type Sender interface {
	// Send sends a message and returns its SID at Twilio, or "" if Twilio didn't take it or the response was lost. It may
	// fail with ErrUndeliverable, or for a content with ErrTemplateRejected. If a failed Send returns a SID, Twilio took the
	// message, and status callbacks may follow.
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
	// Renewed waits until the lists that were returned out of date are refreshed, or can't be.
	Renewed(ctx context.Context)
}

// Templates returns the SIDs of content templates by key.
type Templates interface {
	SID(ctx context.Context, key string) (sid string, known bool)
}

// Ledger records the statuses of sent messages.
type Ledger interface {
	// Place returns a place for a message that a restaurant is about to send.
	Place(restaurantID string, at time.Time) delivery.Place
	// Taken enters, in the background, that Twilio took a message. Entered waits for the entry.
	Taken(ctx context.Context, restaurantID string, e ledger.Entry)
	Entered(ctx context.Context)
	// Report enters a callback's report of a message. It fails with outage.ErrUnavailable.
	Report(ctx context.Context, restaurantID string, r delivery.Report) error
	// Enter enters, in order, that Twilio took the messages. It fails with outage.ErrUnavailable; the last entries may then
	// be missing.
	Enter(ctx context.Context, restaurantID string, entries []ledger.Entry) error
}

// Limiter counts automated answers in the current minute, of a restaurant or of one of its customers.
type Limiter interface {
	// Allow counts an answer and reports whether the count is within the limit; -1 is no limit.
	Allow(ctx context.Context, whose string, limit int64) bool
}

// Events are reported to metrics. Each func may be nil.
type Events struct {
	WelcomeSent   func()
	WelcomeAsText func() // a text replaced a template that failed after Twilio had taken it
	// MessageSent is called for each message that Twilio took, and MessageReported for each status callback.
	MessageSent     func(delivery.Kind)
	MessageReported func(delivery.Report)
	// WelcomeMissed is called for each attempt at a welcome that ends later than WelcomeWithin after the message came, or
	// that fails although the customer can receive messages.
	WelcomeMissed func()
	EnqueueFailed func()
	AnswerSent    func(source cache.Source, took time.Duration)
	AnswerLimited func()
	// OptedOut and OptedIn are called once for each message that changes the customer's consent.
	OptedOut, OptedIn func()
	// QuotaAlert is called once a month for each threshold of a restaurant: 80, 90 and 100 percent.
	QuotaAlert func(percent int64)
}

// Service takes messages. All fields are needed, apart from the fields of Events.
type Service struct {
	Recorder        Recorder
	WelcomeFailures WelcomeFailures
	QuotaAlerter    QuotaAlerter
	Sender          Sender
	Ledger          Ledger
	Queue           Queue
	Menu            Menu
	Templates       Templates
	// Products, Lists and Choices may be nil. Without Products, a category leads back to the menu; without Lists, all lists
	// are text; without Choices, a category shows the first branch's products.
	Products Products
	Lists    Lists
	Choices  Choices
	// ListTemplates are the SIDs of list templates. A key is TemplateCategories or TemplateBranches, an underscore and the
	// number of rows; the number is left out for ten rows.
	ListTemplates map[string]string
	// Categories are WhatsApp's categories of templates, by SID. A template without an entry counts as Utility.
	Categories map[string]delivery.Category

	Limiter   Limiter
	Now       func() time.Time
	NewID     func() string                // returns a random id for a delivery
	RequestID func(context.Context) string // returns the request's id for the log
	Log       *slog.Logger
	Events    Events
}

// WelcomeWithin is the service level of welcomes: the longest time from a message to Twilio's taking the welcome.
const WelcomeWithin = 10 * time.Second

// Bounds of a delivery's waiting.
const (
	// enqueueTimeout keeps a queue that doesn't answer from holding up the answer to Twilio.
	enqueueTimeout = 2 * time.Second
	// While another delivery of the message calls Twilio, this delivery waits for the result, which spares Twilio an error
	// and a repeat. The waits double from the first to the last, and take about three seconds in all.
	firstWait, lastWait = 50 * time.Millisecond, 1600 * time.Millisecond
	// Settling is tried many times: a sent welcome that isn't noted would be sent again.
	settleAttempts = 6
	// noteTime is the part of an invocation that remains after sending, for noting the result.
	noteTime        = 2 * time.Second
	settleFirstWait = 50 * time.Millisecond
)

// Receive records a delivery of a message, and sends the replies. It fails with ErrElsewhere, with outage.ErrUnavailable, or
// with the error that kept a reply from being sent; the message should then be delivered again.
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
		in.Customer = recorded.Home // replies go to the number, if it is known
	}
	s.noteConsent(ctx, log, m, recorded)
	if m.Consent == OptsOut {
		return nil
	}

	defer s.Menu.Renewed(ctx) // an instance is frozen once it has answered
	defer s.Ledger.Entered(ctx)
	o := newOpening(recorded)
	// It runs beside the replies, so that the customer doesn't wait for it.
	completing := task.Start(func() (struct{}, error) { return struct{}{}, s.complete(ctx, m, recorded, o) })
	defer func() { _, _ = completing.Wait() }() // even if a reply panics
	if recorded.OptedOut {
		err = s.keepQuiet(ctx, log, m, recorded)
	} else {
		err = s.replyTo(ctx, log, t, m, in, recorded, o)
	}
	_, completeErr := completing.Wait()
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
	// If the customer's earlier message has just taken the lease on the welcome, a later message doesn't wait.
	patient := recorded.First || m.Consent == OptsIn
	settleWelcome := func(ctx context.Context) error {
		if o.settles() {
			return nil
		}
		return s.Recorder.Settle(ctx, m, Welcome)
	}
	err := func() error {
		defer o.end()
		return s.reply(ctx, log, m, Welcome, recorded.Welcome, patient, welcome, settleWelcome)
	}()
	if errors.Is(err, ErrElsewhere) && !patient {
		err = nil // the delivery with the lease sends the welcome
	}
	if err != nil {
		err = fmt.Errorf("welcoming: %w", err)
	}
	wish, asks := wishOf(in)
	if recorded.First || !asks {
		return err
	}
	// The customer gets the menu even if the welcome can't be sent.
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

// settling returns a function that notes in the Recorder that a reply was sent.
func (s *Service) settling(m Message, r Reply) func(context.Context) error {
	return func(ctx context.Context) error { return s.Recorder.Settle(ctx, m, r) }
}

// reply calls send if this delivery is to send the reply. After that, it calls settle until settle succeeds, a few times at
// most. If send fails, reply gives the lease back.
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
		stop() // a renewal after the release would leave the lease with no holder
		if releaseErr := s.Recorder.Release(ctx, m, r); releaseErr != nil {
			log.LogAttrs(ctx, slog.LevelWarn, "lease on the reply not released: the reply waits until the lease expires", slog.Any("error", releaseErr)) // the lease ends by itself
		}
		return err
	}
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "customer can't be reached: the reply is given up", slog.Any("error", err))
	}
	if err := insist(ctx, func() error { return settle(ctx) }); err != nil {
		// The reply was sent, so this error isn't returned: Twilio would deliver the message again, and the next delivery
		// would send the reply again.
		log.LogAttrs(ctx, slog.LevelError, "reply not settled: another delivery may send it again", slog.Any("error", err))
	}
	return nil
}

// renew keeps the lease on a reply until stop is called. If the lease can't be renewed, or another delivery has taken it,
// renew breaks off the sending, since otherwise two deliveries would send the reply.
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

// renewEvery is how often a lease is renewed. Sending is broken off before the lease ends by the fastest clock.
const renewEvery = time.Second

// leaving returns a context that ends earlier than ctx, by rest.
func leaving(ctx context.Context, rest time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-rest))
	}
	return context.WithCancel(ctx)
}

// hold reports whether this delivery is to send the reply. While another delivery of the message is sending it, a patient
// hold waits for the result, and fails with ErrElsewhere if that takes too long; an impatient hold fails at once.
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

// insist repeats note many times until it succeeds: without the note, the finished work would be done again.
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

// welcome greets a new customer and, at the same time, enqueues the job that prefetches the lists which the customer will
// probably ask for. The customer is greeted even if enqueuing fails.
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
	defer task.Recover(&err) // no failure of the queue, not even a panic, prevents a welcome
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

// answer sends the list that a message asks for, unless the customer or the restaurant has reached the limit of answers in
// this minute. A repeat isn't counted again, since its answer wasn't sent.
func (s *Service) answer(ctx context.Context, log *slog.Logger, t Tenant, to receiver, wish listpicker.Row, repeat bool) error {
	// The customer's own limit comes first: a customer who has reached it uses up none of the restaurant's answers.
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

// AnswersPerCustomer is how many automated answers a customer gets in a minute, within the restaurant's limit. The limit ends
// a loop of two machines that answer each other, and leaves answers for other customers.
const AnswersPerCustomer = 10

// customersAnswers names the counter of a customer's answers, without the customer's number.
func customersAnswers(restaurantID, customer string) string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(customer)) // never fails
	return restaurantID + ":" + strconv.FormatUint(hash.Sum64(), 36)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// permanent is an error that may exclude a successful repeat, such as *sufrah.Error for an unknown merchant.
type permanent interface{ Retryable() bool }

func retryable(err error) bool {
	var p permanent
	return !errors.As(err, &p) || p.Retryable()
}

// send sends a content as its template, or else as its list, or else as text. A list that is sent as text has the kind Text.
// If Twilio took a welcome's template but answers that it failed, send returns ErrTemplateRejected with the SID, and sends no
// text: a callback may report the failure too, and only the first of the two reports may send text.
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
			// Another delivery would send the first texts again, and might fail again.
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

// sendOne sends one message, and logs the SID by which Twilio will report its statuses.
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
