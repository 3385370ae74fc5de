package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// attrRestaurantID is the partition key of every table that holds something of a restaurant's.
const attrRestaurantID = "restaurantId"

const (
	attrBotID       = "botId"
	attrPhoneNumber = "phoneNumber"
	attrRestaurants = "restaurants" // of a bot's id: those whose bots have it
)

func restaurantKey(id string) item { return item{attrRestaurantID: text(id)} }

func restaurantItem(r restaurant.Restaurant) item {
	it := restaurantKey(r.ID)
	it["name"] = text(r.Name)
	it["active"] = flag(r.Active)
	it["createdAt"] = instant(r.CreatedAt)
	setText(it, "merchantId", r.MerchantID)
	return it
}

func readRestaurant(r *reader) restaurant.Restaurant {
	return restaurant.Restaurant{
		ID:         r.text(attrRestaurantID),
		Name:       r.text("name"),
		MerchantID: r.text("merchantId"),
		Active:     r.flag("active"),
		CreatedAt:  r.instant("createdAt"),
	}
}

func botItem(restaurantID string, b restaurant.Bot) item {
	it := restaurantKey(restaurantID)
	it[attrBotID] = text(b.ID)
	it["maxMessagesPerDay"] = number(b.Limits.ConversationsPerDay)
	it["maxMessagesPerMin"] = number(b.Limits.AnswersPerMinute)
	it[attrPlan] = text(planOf(b.Limits.ConversationsPerDay))
	setText(it, attrPhoneNumber, b.PhoneNumber)
	setText(it, "twilioAccountSid", b.TwilioAccountSID)
	setText(it, "ownerNumber", b.OwnerNumber)
	return it
}

func readBot(r *reader) restaurant.Bot {
	return restaurant.Bot{
		ID:               r.text(attrBotID),
		PhoneNumber:      r.text(attrPhoneNumber),
		TwilioAccountSID: r.text("twilioAccountSid"),
		OwnerNumber:      r.text("ownerNumber"),
		Limits: restaurant.Limits{
			ConversationsPerDay: r.number("maxMessagesPerDay"),
			AnswersPerMinute:    r.number("maxMessagesPerMin"),
		},
	}
}

// numberKey is the directory's item for a phone number. Finding a restaurant by it is strongly consistent, and writing
// it conditionally keeps a number from belonging to two restaurants: an index would give neither.
func numberKey(phoneNumber string) item { return directoryKey(numberPrefix + phoneNumber) }

// TenantByNumber returns the restaurant whose bot answers at a phone number, with the bot, in two round trips. It fails
// with restaurant.ErrNotFound or outage.ErrUnavailable.
func (s *Store) TenantByNumber(ctx context.Context, phoneNumber string) (conversation.Tenant, error) {
	it, err := s.get(ctx, s.tables.Directory, numberKey(phoneNumber))
	if err != nil {
		return conversation.Tenant{}, fmt.Errorf("looking up a phone number: %w", err)
	}
	r := reader{item: it}
	id := r.text(attrRestaurantID)
	if r.err != nil {
		return conversation.Tenant{}, r.err
	}
	if id == "" {
		return conversation.Tenant{}, restaurant.ErrNotFound
	}
	var tenant conversation.Tenant
	var fault error
	err = s.getAll(ctx, []tableKey{{s.tables.Restaurants, restaurantKey(id)}, {s.tables.Bots, restaurantKey(id)}},
		func(table string, it item) {
			r := reader{item: it}
			if table == s.tables.Bots {
				tenant.Bot = readBot(&r)
			} else {
				tenant.Restaurant = readRestaurant(&r)
			}
			fault = errors.Join(fault, r.err)
		})
	if err = errors.Join(err, fault); err != nil {
		return conversation.Tenant{}, fmt.Errorf("reading restaurant %s: %w", id, err)
	}
	// The number may have moved on between the two reads.
	if tenant.Restaurant.ID == "" || tenant.Bot.PhoneNumber != phoneNumber {
		return conversation.Tenant{}, restaurant.ErrNotFound
	}
	return tenant, nil
}

// claimNumber is the write that gives a phone number to a restaurant, unless another one has it.
func (s *Store) claimNumber(phoneNumber, restaurantID string) types.TransactWriteItem {
	it := numberKey(phoneNumber)
	it[attrRestaurantID] = text(restaurantID)
	return put(s.tables.Directory, it, expression{
		condition: "attribute_not_exists(#id) OR #owner = :owner",
		names:     map[string]string{"#id": "id", "#owner": attrRestaurantID},
		values:    item{":owner": text(restaurantID)},
	})
}

// releaseNumber is the write that takes a phone number from a restaurant, unless another one has it.
func (s *Store) releaseNumber(phoneNumber, restaurantID string) types.TransactWriteItem {
	return remove(s.tables.Directory, numberKey(phoneNumber), expression{
		condition: "attribute_not_exists(#owner) OR #owner = :owner",
		names:     map[string]string{"#owner": attrRestaurantID},
		values:    item{":owner": text(restaurantID)},
	})
}

// botKey is the directory's item for a bot's id. Bots' ids need not be unique, so it holds the set of the restaurants whose
// bots have it.
func botKey(botID string) item { return directoryKey(botPrefix + botID) }

// RestaurantOfBot implements usage.Registry in one round trip.
func (s *Store) RestaurantOfBot(ctx context.Context, botID string) (string, error) {
	it, err := s.get(ctx, s.tables.Directory, botKey(botID))
	if err != nil {
		return "", fmt.Errorf("looking up bot %s: %w", botID, err)
	}
	r := reader{item: it}
	owners := r.texts(attrRestaurants)
	if r.err != nil {
		return "", r.err
	}
	if len(owners) != 1 {
		return "", restaurant.ErrNotFound
	}
	return owners[0], nil
}

// nameBot is the write that has a bot's id lead to a restaurant, and unnameBot the one that ends that.
func (s *Store) nameBot(botID, restaurantID string) types.TransactWriteItem {
	return update(s.tables.Directory, botKey(botID), expression{
		add:    "#restaurants :one",
		names:  map[string]string{"#restaurants": attrRestaurants},
		values: item{":one": textSet(restaurantID)},
	})
}

func (s *Store) unnameBot(botID, restaurantID string) types.TransactWriteItem {
	return update(s.tables.Directory, botKey(botID), expression{
		drop:   "#restaurants :one",
		names:  map[string]string{"#restaurants": attrRestaurants},
		values: item{":one": textSet(restaurantID)},
	})
}

// CreateRestaurant adds a restaurant, with a bot or without (nil), and enters it in the directory, all at once. It
// fails with restaurant.ErrExists or restaurant.ErrNumberTaken, with the faults of either, or with
// outage.ErrUnavailable. Times are kept to the millisecond.
func (s *Store) CreateRestaurant(ctx context.Context, r restaurant.Restaurant, bot *restaurant.Bot) error {
	if err := r.Validate(); err != nil {
		return err
	}
	r.CreatedAt = r.CreatedAt.Truncate(time.Millisecond)
	items := []types.TransactWriteItem{
		put(s.tables.Restaurants, restaurantItem(r), expression{
			condition: "attribute_not_exists(#id)",
			names:     map[string]string{"#id": attrRestaurantID},
		}),
	}
	numberClaim := -1
	if bot != nil {
		if err := bot.Validate(); err != nil {
			return err
		}
		items = append(items, put(s.tables.Bots, botItem(r.ID, *bot), expression{}))
		if bot.PhoneNumber != "" {
			numberClaim = len(items)
			items = append(items, s.claimNumber(bot.PhoneNumber, r.ID))
		}
		items = append(items, s.nameBot(bot.ID, r.ID))
	}
	err := s.withDirectory(ctx, len(items), func(d *directory) ([]types.TransactWriteItem, error) {
		entries, err := d.add(ctx, r)
		return append(items[:len(items):len(items)], entries...), err
	})
	switch {
	case failedCondition(err, 0):
		err = restaurant.ErrExists
	case failedCondition(err, numberClaim):
		err = restaurant.ErrNumberTaken
	}
	if err == nil {
		err = s.restateLatest(ctx, r.ID) // usage may have been imported before
	}
	if err != nil {
		return fmt.Errorf("creating restaurant %s: %w", r.ID, err)
	}
	return nil
}

// A write starts again so often, after a random part of the delay, because the directory's pages changed under it.
const (
	directoryAttempts = 10
	directoryDelay    = 200 * time.Millisecond
)

// withDirectory carries out the writes that build returns for the directory as it is, the first own of which are the
// caller's and the others the directory's. Where only conditions of the directory fail, others changed its pages
// meanwhile, and it starts again.
func (s *Store) withDirectory(ctx context.Context, own int, build func(*directory) ([]types.TransactWriteItem, error)) error {
	for range directoryAttempts {
		d, err := s.directory(ctx)
		if err != nil {
			return err
		}
		items, err := build(d)
		if err != nil || len(items) == 0 {
			return err
		}
		err = s.transact(ctx, items, "")
		var condition *conditionError
		if !errors.As(err, &condition) || condition.lowest() < own {
			return err
		}
		if err := s.wait(ctx, directoryDelay); err != nil {
			return translate(err)
		}
	}
	return errDirectoryBusy
}

// PutRestaurants writes restaurants over what is there, without entering them in the directory and listing their months: for
// importing many, after which RebuildDirectory enters and Reindex lists all at once.
func (s *Store) PutRestaurants(ctx context.Context, restaurants []restaurant.Restaurant) error {
	items := make([]item, len(restaurants))
	for i, r := range restaurants {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("restaurant %s: %w", r.ID, err)
		}
		items[i] = restaurantItem(r)
	}
	if err := s.putAll(ctx, s.tables.Restaurants, items); err != nil {
		return fmt.Errorf("writing restaurants: %w", err)
	}
	return nil
}

// SetActive switches a restaurant on or off, with its entry in the directory. It fails with restaurant.ErrNotFound or
// outage.ErrUnavailable; setting what is set already changes nothing. Its month is listed right after: where that fails,
// or the process ends, setting it again does it.
func (s *Store) SetActive(ctx context.Context, restaurantID string, active bool) error {
	err := s.withDirectory(ctx, 1, func(d *directory) ([]types.TransactWriteItem, error) {
		it, err := s.get(ctx, s.tables.Restaurants, restaurantKey(restaurantID))
		if err != nil {
			return nil, err
		}
		if it == nil {
			return nil, restaurant.ErrNotFound
		}
		r := reader{item: it}
		found := readRestaurant(&r)
		if r.err != nil || found.Active == active {
			return nil, r.err
		}
		set := update(s.tables.Restaurants, restaurantKey(restaurantID), expression{
			set:       "#active = :new",
			condition: "#active = :old",
			names:     map[string]string{"#active": "active"},
			values:    item{":new": flag(active), ":old": flag(!active)},
		})
		return append([]types.TransactWriteItem{set}, d.move(found, active)...), nil
	})
	if failedCondition(err, 0) {
		err = nil // somebody else set it just now, with the same directory entry
	}
	if err == nil {
		err = s.restateLatest(ctx, restaurantID)
	}
	if err != nil {
		return fmt.Errorf("setting restaurant %s active=%t: %w", restaurantID, active, err)
	}
	return nil
}

// SetBot writes a restaurant's bot configuration, and moves its phone number. It fails with restaurant.ErrNotFound,
// restaurant.ErrNumberTaken, the faults of the bot, or outage.ErrUnavailable. The month is listed under its new limit right
// after: where that fails, or the process ends, setting the bot again does it, and so does the next conversation.
func (s *Store) SetBot(ctx context.Context, restaurantID string, bot restaurant.Bot) error {
	if err := bot.Validate(); err != nil {
		return err
	}
	err := s.setBot(ctx, restaurantID, bot)
	for attempt := 1; errors.Is(err, errRaced); attempt++ {
		if attempt == directoryAttempts {
			err = errDirectoryBusy
			break
		}
		if err = s.wait(ctx, directoryDelay); err != nil {
			err = translate(err)
			break
		}
		err = s.setBot(ctx, restaurantID, bot)
	}
	if err == nil {
		err = s.restateLatest(ctx, restaurantID)
	}
	if err != nil {
		return fmt.Errorf("setting the bot of restaurant %s: %w", restaurantID, err)
	}
	return nil
}

// setBot writes a bot, provided that the one there still has the number and the id that are to lead nowhere afterwards. It
// fails with errRaced where it hasn't.
func (s *Store) setBot(ctx context.Context, restaurantID string, bot restaurant.Bot) error {
	old, err := s.get(ctx, s.tables.Bots, restaurantKey(restaurantID))
	if err != nil {
		return err
	}
	r := &reader{item: old}
	oldNumber, oldID := r.text(attrPhoneNumber), r.text(attrBotID)
	if r.err != nil {
		return r.err
	}
	items := []types.TransactWriteItem{
		{ConditionCheck: &types.ConditionCheck{
			TableName: &s.tables.Restaurants, Key: restaurantKey(restaurantID),
			ConditionExpression:      optional("attribute_exists(#id)"),
			ExpressionAttributeNames: map[string]string{"#id": attrRestaurantID},
		}},
		put(s.tables.Bots, botItem(restaurantID, bot), unchangedNames(old)),
		s.nameBot(bot.ID, restaurantID),
	}
	if oldID != "" && oldID != bot.ID {
		items = append(items, s.unnameBot(oldID, restaurantID))
	}
	numberClaim := -1
	if bot.PhoneNumber != "" {
		numberClaim = len(items)
		items = append(items, s.claimNumber(bot.PhoneNumber, restaurantID))
	}
	if oldNumber != "" && oldNumber != bot.PhoneNumber {
		items = append(items, s.releaseNumber(oldNumber, restaurantID))
	}
	err = s.transact(ctx, items, "")
	var condition *conditionError
	switch {
	case failedCondition(err, 0):
		return restaurant.ErrNotFound
	case failedCondition(err, 1):
		return errRaced
	case failedCondition(err, numberClaim):
		return restaurant.ErrNumberTaken
	case errors.As(err, &condition): // the old number went to somebody else just now
		return errRaced
	}
	return err
}

// unchangedNames is the condition that a bot has the phone number and the id of the item that was read, nil where there was
// none.
func unchangedNames(seen item) expression {
	e := expression{names: map[string]string{}, values: item{}}
	for _, attribute := range []string{attrPhoneNumber, attrBotID} {
		same := fmt.Sprintf("attribute_not_exists(#%s)", attribute)
		if value, ok := seen[attribute]; ok {
			same = fmt.Sprintf("#%s = :%s", attribute, attribute)
			e.values[":"+attribute] = value
		}
		e.condition = joined(e.condition, " AND ", same)
		e.names["#"+attribute] = attribute
	}
	if len(e.values) == 0 {
		e.values = nil // DynamoDB takes no empty map
	}
	return e
}

// Bot returns the bot configuration of a restaurant, nil where it has none.
func (s *Store) Bot(ctx context.Context, restaurantID string) (*restaurant.Bot, error) {
	it, err := s.get(ctx, s.tables.Bots, restaurantKey(restaurantID))
	if err != nil || it == nil {
		return nil, err
	}
	r := reader{item: it}
	bot := readBot(&r)
	return &bot, r.err
}
