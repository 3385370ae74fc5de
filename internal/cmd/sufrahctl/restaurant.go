package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/sufrah/usage-bootstrap/internal/phone"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

type restaurantCommand struct {
	Create     createRestaurant     `cmd:"" help:"Add a restaurant."`
	List       listRestaurants      `cmd:"" help:"List restaurants, newest first."`
	Show       showRestaurant       `cmd:"" help:"Show a restaurant and its bot."`
	Activate   activateRestaurant   `cmd:"" help:"Switch a restaurant on."`
	Deactivate deactivateRestaurant `cmd:"" help:"Switch a restaurant off. All its data stay."`
	Set        setRestaurant        `cmd:"" help:"Set a restaurant's name or merchant id. A value without its flag stays."`
	SetBot     setBot               `cmd:"" help:"Set a restaurant's bot. A value without its flag stays."`
}

// shownRestaurant is a restaurant in JSON.
type shownRestaurant struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	MerchantID string    `json:"merchantId"`
	Active     bool      `json:"isActive"`
	CreatedAt  *string   `json:"createdAt"`
	Bot        *shownBot `json:"bot"`
}

type shownBot struct {
	ID               string `json:"id"`
	PhoneNumber      string `json:"phoneNumber"`
	TwilioAccountSID string `json:"twilioAccountSid"`
	OwnerNumber      string `json:"ownerNumber"`
	PerDay           int64  `json:"maxMessagesPerDay"`
	PerMinute        int64  `json:"maxMessagesPerMin"`
}

func shown(r restaurant.Restaurant, bot *restaurant.Bot) shownRestaurant {
	s := shownRestaurant{ID: r.ID, Name: r.Name, MerchantID: r.MerchantID, Active: r.Active, CreatedAt: jsonTime(r.CreatedAt)}
	if bot != nil {
		s.Bot = &shownBot{bot.ID, bot.PhoneNumber, bot.TwilioAccountSID, bot.OwnerNumber, bot.Limits.ConversationsPerDay, bot.Limits.AnswersPerMinute}
	}
	return s
}

func (s shownRestaurant) row() []string {
	row := []string{s.ID, s.Name, yesNo(s.Active), *s.CreatedAt, s.MerchantID, "", "", ""}
	if s.Bot != nil {
		row[5], row[6], row[7] = s.Bot.PhoneNumber, limit(s.Bot.PerDay), limit(s.Bot.PerMinute)
	}
	return row
}

var restaurantColumns = []string{"ID", "NAME", "ACTIVE", "CREATED", "MERCHANT", "PHONE", "PER DAY", "PER MINUTE"}

// botFlags are the settings of a bot. A setting without its flag stays unchanged.
type botFlags struct {
	BotID      *string `name:"bot-id" help:"Id of the bot (default: bot-<restaurant>)."`
	Phone      *string `help:"WhatsApp number of the bot, such as +966110000000."`
	AccountSID *string `name:"account-sid" help:"SID of the bot's own Twilio account; empty for Sufrah's account."`
	Owner      *string `help:"Owner's WhatsApp number, which gets the quota alerts; empty for none."`
	PerDay     *int64  `name:"per-day" help:"Conversations a day; -1 for unlimited."`
	PerMinute  *int64  `name:"per-minute" help:"Automated answers a minute; -1 for unlimited."`
}

func (f botFlags) given() bool {
	return f.BotID != nil || f.Phone != nil || f.AccountSID != nil || f.Owner != nil || f.PerDay != nil || f.PerMinute != nil
}

// apply changes the settings with a given flag.
func (f botFlags) apply(bot *restaurant.Bot) error {
	set(&bot.ID, f.BotID)
	set(&bot.TwilioAccountSID, f.AccountSID)
	set(&bot.Limits.ConversationsPerDay, f.PerDay)
	set(&bot.Limits.AnswersPerMinute, f.PerMinute)
	return errors.Join(setNumber(&bot.PhoneNumber, "--phone", f.Phone), setNumber(&bot.OwnerNumber, "--owner", f.Owner))
}

// setNumber sets a phone number, in its stored form, if one was given.
func setNumber(target *string, name string, given *string) error {
	if given == nil || *given == "" {
		set(target, given)
		return nil
	}
	number, err := phone.Parse(*given)
	if err != nil {
		return fmt.Errorf("%s %q: %w", name, *given, err)
	}
	*target = number
	return nil
}

func set[T any](target *T, given *T) {
	if given != nil {
		*target = *given
	}
}

// defaultFlags are the stack's default limits, for a restaurant without a bot and for a new bot.
type defaultFlags struct {
	PerDay    int64 `name:"default-per-day" help:"The stack's parameter DefaultMaxMessagesPerDay." env:"DEFAULT_MAX_MESSAGES_PER_DAY" default:"${perDay}"`
	PerMinute int64 `name:"default-per-minute" help:"The stack's parameter DefaultMaxMessagesPerMin." env:"DEFAULT_MAX_MESSAGES_PER_MIN" default:"${perMinute}"`
}

func (f defaultFlags) limits() restaurant.Limits {
	return restaurant.Limits{ConversationsPerDay: f.PerDay, AnswersPerMinute: f.PerMinute}
}

// newBot returns a bot before its settings are applied.
func newBot(restaurantID string, limits restaurant.Limits) restaurant.Bot {
	return restaurant.Bot{ID: "bot-" + restaurantID, Limits: limits}
}

type createRestaurant struct {
	ID       string       `arg:"" help:"Id of the restaurant."`
	Name     string       `help:"Name of the restaurant." required:""`
	Merchant string       `help:"The restaurant's merchant id at the Sufrah API."`
	Inactive bool         `help:"Create the restaurant switched off."`
	Bot      botFlags     `embed:"" group:"Bot (any of these flags creates it)"`
	Defaults defaultFlags `embed:"" group:"Limits of a new bot without --per-day and --per-minute"`
}

func (c *createRestaurant) Run(s *session) error {
	r := restaurant.Restaurant{ID: c.ID, Name: c.Name, MerchantID: c.Merchant, Active: !c.Inactive, CreatedAt: s.now()}
	var bot *restaurant.Bot
	if c.Bot.given() {
		b := newBot(c.ID, c.Defaults.limits())
		if err := c.Bot.apply(&b); err != nil {
			return err
		}
		bot = &b
	}
	if err := s.store.CreateRestaurant(s.ctx, r, bot); err != nil {
		return err
	}
	return s.show(r, bot)
}

// show writes one restaurant.
func (s *session) show(r restaurant.Restaurant, bot *restaurant.Bot) error {
	result := shown(r, bot)
	return s.out.result(result, func(w io.Writer) { table(w, restaurantColumns, [][]string{result.row()}) })
}

// find reads a restaurant and its bot.
func (s *session) find(id string) (restaurant.Restaurant, *restaurant.Bot, error) {
	record, err := s.record(id)
	return record.Restaurant, record.Bot, err
}

// record reads a restaurant and its bot, activity and months.
func (s *session) record(id string, months ...usage.Month) (usage.Record, error) {
	if !restaurant.ValidID(id) {
		return usage.Record{}, fmt.Errorf("restaurant %q: %w", id, restaurant.ErrNotFound)
	}
	record, err := s.store.Usage(s.ctx, id, months)
	if err != nil {
		return usage.Record{}, fmt.Errorf("restaurant %s: %w", id, err)
	}
	return record, nil
}

type showRestaurant struct {
	ID string `arg:"" help:"Id of the restaurant."`
}

func (c *showRestaurant) Run(s *session) error {
	r, bot, err := s.find(c.ID)
	if err != nil {
		return err
	}
	return s.show(r, bot)
}

type setRestaurant struct {
	ID       string  `arg:"" help:"Id of the restaurant."`
	Name     *string `help:"Name of the restaurant."`
	Merchant *string `help:"The restaurant's merchant id at the Sufrah API; empty for none."`
}

func (c *setRestaurant) Run(s *session) error {
	if c.Name == nil && c.Merchant == nil {
		return errors.New("nothing to set: give --name or --merchant")
	}
	r, bot, err := s.find(c.ID)
	if err != nil {
		return err
	}
	set(&r.Name, c.Name)
	set(&r.MerchantID, c.Merchant)
	if err := s.store.UpdateRestaurant(s.ctx, r); err != nil {
		return err
	}
	return s.show(r, bot)
}

type activateRestaurant struct {
	ID string `arg:"" help:"Id of the restaurant."`
}

func (c *activateRestaurant) Run(s *session) error { return s.setActive(c.ID, true) }

type deactivateRestaurant struct {
	ID string `arg:"" help:"Id of the restaurant."`
}

func (c *deactivateRestaurant) Run(s *session) error { return s.setActive(c.ID, false) }

func (s *session) setActive(id string, active bool) error {
	r, bot, err := s.find(id)
	if err != nil {
		return err
	}
	if err := s.store.SetActive(s.ctx, id, active); err != nil {
		return err
	}
	r.Active = active
	return s.show(r, bot)
}

type setBot struct {
	ID       string       `arg:"" help:"Id of the restaurant."`
	Bot      botFlags     `embed:""`
	Defaults defaultFlags `embed:"" group:"Limits of a new bot without --per-day and --per-minute"`
}

func (c *setBot) Run(s *session) error {
	r, bot, err := s.find(c.ID)
	if err != nil {
		return err
	}
	if bot == nil {
		b := newBot(c.ID, c.Defaults.limits())
		bot = &b
	}
	if err := c.Bot.apply(bot); err != nil {
		return err
	}
	if err := s.store.SetBot(s.ctx, c.ID, *bot); err != nil {
		return err
	}
	return s.show(r, bot)
}

type listRestaurants struct {
	Active   bool `xor:"filter" help:"Only active restaurants."`
	Inactive bool `xor:"filter" help:"Only inactive restaurants."`
	Offset   int  `help:"Number of restaurants to skip."`
	Limit    int  `help:"Number of restaurants to show, 1 to 100." default:"100"`
}

func (c *listRestaurants) Run(s *session) error {
	if c.Offset < 0 || c.Limit < 1 || c.Limit > 100 {
		return errors.New("--offset must be 0 or more, and --limit 1 to 100")
	}
	filter := usage.All
	switch {
	case c.Active:
		filter = usage.ActiveOnly
	case c.Inactive:
		filter = usage.InactiveOnly
	}
	directory, err := s.store.Directory(s.ctx)
	if err != nil {
		return err
	}
	records, err := directory.Page(s.ctx, filter, c.Offset, c.Limit, usage.NewCalendar(nil).Month(s.now()))
	if err != nil {
		return err
	}
	result := struct {
		Restaurants []shownRestaurant `json:"restaurants"`
		Total       int               `json:"total"`
	}{Restaurants: []shownRestaurant{}, Total: directory.Total(filter)}
	var rows [][]string
	for _, record := range records {
		r := shown(record.Restaurant, record.Bot)
		result.Restaurants = append(result.Restaurants, r)
		rows = append(rows, r.row())
	}
	return s.out.result(result, func(w io.Writer) {
		table(w, restaurantColumns, rows)
		fmt.Fprintf(w, "%d of %d\n", len(rows), result.Total)
	})
}

type directoryCommand struct {
	Rebuild rebuildDirectory `cmd:"" help:"Compare the directory with the restaurants, and rebuild the directory. Safe while the stack is in use."`
}

type rebuildDirectory struct {
	Check bool `help:"Only compare: change nothing, and fail if there are differences."`
}

// shownDifference is a difference in JSON.
type shownDifference struct {
	RestaurantID string `json:"restaurantId,omitempty"`
	What         string `json:"what"`
}

func (c *rebuildDirectory) Run(s *session) error {
	n, found, err := s.store.CheckDirectory(s.ctx)
	if err == nil && !c.Check {
		n, err = s.store.RebuildDirectory(s.ctx)
	}
	if err != nil {
		return err
	}
	result := struct {
		Restaurants int               `json:"restaurants"`
		Differences []shownDifference `json:"differences"`
	}{n, make([]shownDifference, len(found))}
	rows := make([][]string, len(found))
	for i, d := range found {
		result.Differences[i] = shownDifference{d.RestaurantID, d.What}
		rows[i] = []string{d.RestaurantID, d.What}
	}
	err = s.out.result(result, func(w io.Writer) {
		if len(rows) > 0 {
			table(w, []string{"RESTAURANT", "DIFFERENCE"}, rows)
		}
		switch {
		case !c.Check:
			fmt.Fprintf(w, "The directory lists %d restaurants.\n", n)
		case len(rows) == 0:
			fmt.Fprintf(w, "No differences: the directory lists all %d restaurants correctly.\n", n)
		}
	})
	if err == nil && c.Check && len(found) > 0 {
		return fmt.Errorf("the directory differs from the restaurants: %s", plural(len(found), "difference"))
	}
	return err
}
