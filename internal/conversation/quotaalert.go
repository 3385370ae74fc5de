package conversation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// TemplateQuotaAlert is the key of the template that reports a threshold to a restaurant's owner. The template's variables: 1
// is the restaurant, 2 the threshold in percent, 3 the used conversations, 4 the limit.
const TemplateQuotaAlert = "quota_alert"

// passed returns the thresholds above told that the quota has reached.
func passed(q usage.Quota, told int64) []int64 {
	var above []int64
	for _, threshold := range usage.Thresholds {
		if threshold > told && q.Reaches(usage.Share(threshold)*usage.Percent) {
			above = append(above, threshold)
		}
	}
	return above
}

// alertQuota reads the restaurant's allowance after a conversation was opened and reports each passed threshold, once a
// month: in the log and in metrics, and then to the owner. A failure is logged and doesn't fail the customer's message: the
// restaurant's next conversation tries again. At the end, alertQuota updates the restaurant's place in the ranking.
//
// The reporting delivery holds a lease. The log line is written between two writes to the store, claiming and settling. A
// process that dies during either write neither loses nor repeats the line; only a death between the two writes causes a
// second line.
func (s *Service) alertQuota(ctx context.Context, log *slog.Logger, t Tenant, m Message, openedAt time.Time) {
	state, err := s.QuotaAlerter.QuotaState(ctx, m.RestaurantID, openedAt)
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "allowance not read: the restaurant's next conversation checks its thresholds", slog.Any("error", err))
		return
	}
	if state.Place != nil {
		defer func() { // at the end: no write may come between claiming and settling
			if err := state.Place(ctx); err != nil {
				log.LogAttrs(ctx, slog.LevelWarn, "ranking not updated: the restaurant's next conversation updates it", slog.Any("error", err))
			}
		}()
	}
	if len(passed(state.Quota, min(state.QuotaAlerts.Noted, state.QuotaAlerts.Sent))) == 0 {
		return
	}
	told, held, err := s.QuotaAlerter.ClaimQuotaAlerts(ctx, m, state.Month, s.Now())
	if err == nil && held {
		err = s.tell(ctx, log, t, m, state, told)
	}
	if err != nil {
		log.LogAttrs(ctx, slog.LevelError, "quota alert not sent: the restaurant's next conversation tries again", slog.Any("error", err))
	}
}

// tell reports the thresholds that weren't reported yet, and gives the lease back.
func (s *Service) tell(ctx context.Context, log *slog.Logger, t Tenant, m Message, state QuotaState, told QuotaAlerts) error {
	q := state.Quota
	for _, threshold := range passed(q, told.Noted) {
		log.LogAttrs(ctx, slog.LevelWarn, "restaurant passed a threshold", slog.Int64("threshold", threshold),
			slog.String("month", state.Month.String()), slog.Int64("used", q.Used), slog.Int64("limit", q.Limit),
			slog.Int64("effectiveLimit", q.EffectiveLimit()), slog.Int64("adjustedBy", q.ToppedUp))
		if s.Events.QuotaAlert != nil {
			s.Events.QuotaAlert(threshold)
		}
		told.Noted = threshold
		if err := s.settleQuotaAlerts(ctx, m, state.Month, told, false); err != nil {
			return err
		}
	}
	unsent := passed(q, told.Sent)
	for i, threshold := range unsent {
		if err := s.alertOwner(ctx, log, t, q, threshold); err != nil {
			return errors.Join(err, s.settleQuotaAlerts(ctx, m, state.Month, told, true))
		}
		told.Sent = threshold
		last := i == len(unsent)-1 // this note also gives the lease back
		if err := s.settleQuotaAlerts(ctx, m, state.Month, told, last); err != nil || last {
			return err
		}
	}
	return s.settleQuotaAlerts(ctx, m, state.Month, told, true)
}

// alertOwner sends the template to the owner, if both exist. It fails if a later attempt may succeed.
func (s *Service) alertOwner(ctx context.Context, log *slog.Logger, t Tenant, q usage.Quota, threshold int64) error {
	sid, known := s.Templates.SID(ctx, TemplateQuotaAlert)
	if !known || t.Bot.OwnerNumber == "" {
		return nil
	}
	ctx, cancel := leaving(ctx, noteTime)
	defer cancel()
	_, err := s.sendOne(ctx, log, t, s.template(delivery.QuotaAlert, receiver{id: t.Bot.OwnerNumber}, sid, map[string]string{
		"1": variable(t.Restaurant.Name), "2": fmt.Sprint(threshold), "3": fmt.Sprint(q.Used), "4": fmt.Sprint(q.EffectiveLimit()),
	}))
	switch {
	case errors.Is(err, ErrUndeliverable), errors.Is(err, ErrTemplateRejected):
		log.LogAttrs(ctx, slog.LevelError, "quota alert given up: the owner's number or the template is refused", slog.Int64("threshold", threshold), slog.Any("error", err))
		return nil
	case err != nil:
		return fmt.Errorf("sending the quota alert to the owner: %w", err)
	}
	log.LogAttrs(ctx, slog.LevelInfo, "quota alert sent", slog.Int64("threshold", threshold))
	return nil
}

// settleQuotaAlerts notes the reported thresholds.
func (s *Service) settleQuotaAlerts(ctx context.Context, m Message, month usage.Month, told QuotaAlerts, done bool) error {
	return insist(ctx, func() error { return s.QuotaAlerter.SettleQuotaAlerts(ctx, m, month, told, done) })
}
