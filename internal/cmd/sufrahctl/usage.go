package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

type usageCommand struct {
	Show     showUsage     `cmd:"" help:"Show a restaurant's month: conversations, plan, top-ups, the rest, quota alerts, its bot's limits and latest message."`
	TopUp    topUpUsage    `cmd:"" name:"top-up" aliases:"renew" help:"Top up a restaurant's allowance of this month, or correct an earlier top-up."`
	Messages messagesUsage `cmd:"" help:"Show how many of a restaurant's messages were sent, delivered, read and failed in a month, and their costs."`
	Reindex  reindexUsage  `cmd:"" help:"Rebuild the ranking that alerts read. Safe while the stack is in use."`
}

type topUpUsage struct {
	ID     string     `arg:"" help:"Id of the restaurant."`
	Amount int64      `help:"Number of conversations to add; negative (--amount=-500) as a correction." default:"1000"`
	Reason string     `help:"Reason, which the restaurant can read. Default: Manual renewal, or Manual correction."`
	Key    string     `help:"Idempotency key: of several top-ups with the same key, only the first adds anything."`
	By     string     `help:"Author of the top-up. Default: the name in your AWS identity; sufrahctl on a local stack."`
	Stack  stackFlags `embed:"" group:"Parameters of the stack, if they differ from the defaults"`
}

// stackFlags are the stack's parameters for the current month, and for the limits of a restaurant without a bot.
type stackFlags struct {
	TimeZone string       `name:"time-zone" help:"The stack's parameter UsageTimeZone." env:"USAGE_TIME_ZONE" default:"UTC"`
	Defaults defaultFlags `embed:""`
}

// shownQuota is a quota in JSON.
type shownQuota struct {
	RestaurantID   string `json:"restaurantId"`
	Used           int64  `json:"used"`
	Limit          int64  `json:"limit"`
	EffectiveLimit int64  `json:"effectiveLimit"`
	ToppedUp       int64  `json:"adjustedBy"`
	Remaining      int64  `json:"remaining"`
	Repeat         bool   `json:"repeat"` // an earlier top-up had this key, so nothing was added
}

func (c *topUpUsage) Run(s *session) error {
	zone, err := time.LoadLocation(c.Stack.TimeZone)
	if err != nil {
		return fmt.Errorf("--time-zone: %w", err)
	}
	topUps := usage.NewTopUpService(s.store, usage.NewCalendar(zone), c.Stack.Defaults.limits(), s.now, rand.Text)
	if c.Reason == "" {
		c.Reason = usage.DefaultReason(c.Amount)
	}
	if c.By == "" {
		if c.By, err = s.identity(s.ctx); err != nil {
			return fmt.Errorf("the author is unknown: give --by, or AWS credentials with the permission sts:GetCallerIdentity: %w", err)
		}
	}
	done, err := topUps.Add(s.ctx, usage.TopUpRequest{RestaurantID: c.ID, Amount: c.Amount, Reason: c.Reason, Key: c.Key, By: c.By})
	if err != nil {
		return err
	}
	q := done.Quota
	s.log.LogAttrs(s.ctx, slog.LevelInfo, "allowance topped up", slog.String("restaurantId", c.ID), slog.Int64("amount", c.Amount),
		slog.Int64("adjustedBy", q.ToppedUp), slog.String("by", c.By), slog.Bool("repeat", done.Repeat))
	result := shownQuota{c.ID, q.Used, q.Limit, q.EffectiveLimit(), q.ToppedUp, q.Remaining(), done.Repeat}
	return s.out.result(result, func(w io.Writer) {
		table(w, []string{"ID", "USED", "PLAN", "ADDED", "LIMIT", "REMAINING"}, [][]string{{
			c.ID, fmt.Sprint(q.Used), fmt.Sprint(q.Limit), fmt.Sprint(q.ToppedUp), fmt.Sprint(q.EffectiveLimit()), fmt.Sprint(q.Remaining()),
		}})
		if done.Repeat {
			fmt.Fprintln(w, "Nothing was added now: the top-up with this key was made before. The figures are from right after it.")
		}
	})
}

// monthIn returns the calendar of a time zone, and the month that was given or else the current one.
func monthIn(now time.Time, timeZone, given string) (usage.Calendar, usage.Month, error) {
	zone, err := time.LoadLocation(timeZone)
	if err != nil {
		return usage.Calendar{}, usage.Month{}, fmt.Errorf("--time-zone: %w", err)
	}
	calendar := usage.NewCalendar(zone)
	if given == "" {
		return calendar, calendar.Month(now), nil
	}
	month, err := usage.ParseMonth(given)
	if err != nil {
		return calendar, month, fmt.Errorf("--month: %w", err)
	}
	return calendar, month, nil
}

type messagesUsage struct {
	ID       string `arg:"" help:"Id of the restaurant."`
	Month    string `help:"Month, such as 2026-11. Default: the current month in the time zone." placeholder:"MONTH"`
	TimeZone string `name:"time-zone" help:"The stack's parameter UsageTimeZone." env:"USAGE_TIME_ZONE" default:"UTC"`
	Prices   string `help:"The stack's parameter MessagePrices. Without prices no cost is shown." env:"MESSAGE_PRICES"`
}

// shownMessages are messages in JSON.
type shownMessages struct {
	RestaurantID string                           `json:"restaurantId"`
	Month        string                           `json:"month"`
	Total        shownCount                       `json:"total"`
	ByKind       map[delivery.Kind]shownCount     `json:"byKind"`
	ByCategory   map[delivery.Category]shownCount `json:"byCategory"`
	Days         map[string]shownCount            `json:"days"` // only days with sent messages
	Cost         *shownCost                       `json:"cost,omitempty"`
}

type shownCount struct {
	Sent      int64 `json:"sent"`
	Delivered int64 `json:"delivered"`
	Read      int64 `json:"read"`
	Failed    int64 `json:"failed"`
}

type shownCost struct {
	Currency string `json:"currency"`
	Amount   string `json:"amount"`
}

func (c *messagesUsage) Run(s *session) error {
	_, month, err := monthIn(s.now(), c.TimeZone, c.Month)
	if err != nil {
		return err
	}
	prices, err := ledger.ParsePrices(c.Prices)
	if err != nil {
		return fmt.Errorf("--prices %w", err)
	}
	if _, _, err := s.find(c.ID); err != nil {
		return err
	}
	messages, err := s.store.Messages(s.ctx, c.ID, month)
	if err != nil {
		return err
	}
	shown := shownMessages{
		RestaurantID: c.ID, Month: month.String(), Total: shownCount(messages.Total()), ByKind: shownCounts(messages.Kinds()),
		ByCategory: shownCounts(messages.Categories()), Days: make(map[string]shownCount),
	}
	for day := range messages {
		shown.Days[fmt.Sprintf("%s-%02d", month, day)] = shownCount(messages.Day(day))
	}
	if cost, known := prices.Cost(month.String(), messages.Categories()); known {
		shown.Cost = &shownCost{cost.Currency, cost.Amount.String()}
	}
	return s.out.result(shown, func(w io.Writer) {
		rows := [][]string{shown.Total.row("all")}
		for _, kind := range delivery.Kinds {
			if count, sent := shown.ByKind[kind]; sent {
				rows = append(rows, count.row("kind "+string(kind)))
			}
		}
		for _, category := range delivery.Categories {
			if count, sent := shown.ByCategory[category]; sent {
				rows = append(rows, count.row("category "+string(category)))
			}
		}
		for _, day := range slices.Sorted(maps.Keys(shown.Days)) {
			rows = append(rows, shown.Days[day].row(day))
		}
		table(w, []string{"MESSAGES", "SENT", "DELIVERED", "READ", "FAILED"}, rows)
		if shown.Cost != nil {
			fmt.Fprintf(w, "The delivered messages cost %s %s.\n", shown.Cost.Amount, shown.Cost.Currency)
		}
	})
}

func (c shownCount) row(of string) []string {
	return []string{of, fmt.Sprint(c.Sent), fmt.Sprint(c.Delivered), fmt.Sprint(c.Read), fmt.Sprint(c.Failed)}
}

func shownCounts[K comparable](counts map[K]ledger.Count) map[K]shownCount {
	shown := make(map[K]shownCount, len(counts))
	for key, count := range counts {
		shown[key] = shownCount(count)
	}
	return shown
}

type reindexUsage struct{}

func (*reindexUsage) Run(s *session) error {
	n, err := s.store.Reindex(s.ctx)
	if err != nil {
		return err
	}
	return s.out.result(map[string]int{"restaurants": n}, func(w io.Writer) {
		fmt.Fprintf(w, "The ranking is rebuilt with the months of %s.\n", plural(n, "restaurant"))
	})
}
