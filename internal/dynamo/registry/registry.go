// Package registry stores restaurants and their bots, and reads their usage.
package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/directory"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/ranking"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// Registry keeps restaurants and bots. It is safe for concurrent use.
type Registry struct {
	db        *table.DB
	names     schema.Tables
	directory *directory.Directory
	ranking   *ranking.Ranking
}

// New returns a Registry over the tables.
func New(db *table.DB, names schema.Tables) *Registry {
	return &Registry{db: db, names: names, directory: directory.New(db, names), ranking: ranking.New(db, names)}
}

// errRaced says that the bot was changed between being read and being written.
var errRaced = errors.New("others changed the bot meanwhile")

// TenantByNumber returns the bot with a phone number and its restaurant, in two round trips. It fails with
// restaurant.ErrNotFound or outage.ErrUnavailable.
func (g *Registry) TenantByNumber(ctx context.Context, phoneNumber string) (conversation.Tenant, error) {
	id, err := g.directory.OfNumber(ctx, phoneNumber)
	if err != nil {
		return conversation.Tenant{}, err
	}
	var tenant conversation.Tenant
	var fault error
	err = g.db.GetAll(ctx, []table.Key{
		{Table: g.names.Restaurants, Key: schema.RestaurantKey(id)}, {Table: g.names.Bots, Key: schema.RestaurantKey(id)},
	},
		func(name string, it table.Item) {
			r := table.Reader{Item: it}
			if name == g.names.Bots {
				tenant.Bot = schema.ReadBot(&r)
			} else {
				tenant.Restaurant = schema.ReadRestaurant(&r)
			}
			fault = errors.Join(fault, r.Err)
		})
	if err = errors.Join(err, fault); err != nil {
		return conversation.Tenant{}, fmt.Errorf("reading restaurant %s: %w", id, err)
	}
	// The number may have moved to another restaurant between the two reads.
	if tenant.Restaurant.ID == "" || tenant.Bot.PhoneNumber != phoneNumber {
		return conversation.Tenant{}, restaurant.ErrNotFound
	}
	return tenant, nil
}

// CreateRestaurant creates a restaurant, with a bot or without (nil), and enters it in the directory, in one transaction. It
// fails with restaurant.ErrExists, restaurant.ErrNumberTaken, restaurant.ErrIDTaken or outage.ErrUnavailable, or with the
// faults of the restaurant or the bot. Times are rounded down to milliseconds.
func (g *Registry) CreateRestaurant(ctx context.Context, r restaurant.Restaurant, bot *restaurant.Bot) error {
	if err := r.Validate(); err != nil {
		return err
	}
	r.CreatedAt = r.CreatedAt.Truncate(time.Millisecond)
	items := []table.Write{
		table.Put(g.names.Restaurants, schema.RestaurantItem(r), table.Expression{
			Condition: "attribute_not_exists(#id)",
			Names:     map[string]string{"#id": schema.AttrRestaurantID},
		}),
	}
	numberClaim, idClaim := -1, -1
	if bot != nil {
		if err := bot.Validate(); err != nil {
			return err
		}
		items = append(items, table.Put(g.names.Bots, schema.BotItem(r.ID, *bot), table.Expression{}))
		if bot.PhoneNumber != "" {
			numberClaim = len(items)
			items = append(items, g.directory.ClaimNumber(bot.PhoneNumber, r.ID))
		}
		idClaim = len(items)
		items = append(items, g.directory.NameBot(bot.ID, r.ID))
	}
	taken := len(items) // index of the first condition that an id is free
	if bot == nil || bot.ID != r.ID {
		items = append(items, g.directory.NoBot(r.ID))
	}
	if bot != nil && bot.ID != r.ID {
		items = append(items, g.directory.NoRestaurant(bot.ID))
	}
	err := g.directory.Change(ctx, len(items), func(d *directory.Snapshot) ([]table.Write, error) {
		entries, err := d.Enter(ctx, r)
		return append(items[:len(items):len(items)], entries...), err
	})
	switch {
	case table.FailedCondition(err, 0):
		err = restaurant.ErrExists
	case table.FailedCondition(err, numberClaim):
		err = restaurant.ErrNumberTaken
	case table.FailedCondition(err, idClaim), table.FailedCondition(err, taken), taken+1 < len(items) && table.FailedCondition(err, taken+1):
		err = restaurant.ErrIDTaken
	}
	if err == nil {
		err = g.ranking.RestateLatest(ctx, r.ID) // its usage may have been imported before
	}
	if err != nil {
		return fmt.Errorf("creating restaurant %s: %w", r.ID, err)
	}
	return nil
}

// PutRestaurants overwrites restaurants for a large import. It touches neither the directory nor the ranking: afterwards
// RebuildDirectory and Reindex update them for all restaurants at once.
func (g *Registry) PutRestaurants(ctx context.Context, restaurants []restaurant.Restaurant) error {
	items := make([]table.Item, len(restaurants))
	for i, r := range restaurants {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("restaurant %s: %w", r.ID, err)
		}
		items[i] = schema.RestaurantItem(r)
	}
	if err := g.db.PutAll(ctx, g.names.Restaurants, items); err != nil {
		return fmt.Errorf("writing restaurants: %w", err)
	}
	return nil
}

// SetActive activates or deactivates a restaurant, in the directory too, and then sets its place in the ranking. It fails
// with restaurant.ErrNotFound or outage.ErrUnavailable. If the place isn't set, because that fails or the process ends, call
// SetActive again with the same state.
func (g *Registry) SetActive(ctx context.Context, restaurantID string, active bool) error {
	err := g.setActive(ctx, restaurantID, active)
	for attempt := 1; table.FailedCondition(err, 0); attempt++ {
		// Others have switched or renamed the restaurant in the meantime.
		if attempt == directory.Attempts {
			err = directory.ErrBusy
			break
		}
		if err = g.db.Wait(ctx, directory.Delay); err != nil {
			break
		}
		err = g.setActive(ctx, restaurantID, active)
	}
	if err == nil {
		err = g.ranking.RestateLatest(ctx, restaurantID)
	}
	if err != nil {
		return fmt.Errorf("setting restaurant %s active=%t: %w", restaurantID, active, err)
	}
	return nil
}

// setActive activates or deactivates a restaurant, if its name hasn't changed since it was read: the directory has an item
// with the state for each word of the name.
func (g *Registry) setActive(ctx context.Context, restaurantID string, active bool) error {
	return g.directory.Change(ctx, 1, func(d *directory.Snapshot) ([]table.Write, error) {
		it, err := g.db.Get(ctx, g.names.Restaurants, schema.RestaurantKey(restaurantID))
		if err != nil {
			return nil, err
		}
		if it == nil {
			return nil, restaurant.ErrNotFound
		}
		r := table.Reader{Item: it}
		found := schema.ReadRestaurant(&r)
		if r.Err != nil || found.Active == active {
			return nil, r.Err
		}
		set := table.Update(g.names.Restaurants, schema.RestaurantKey(restaurantID), table.Expression{
			Set:       "#active = :new",
			Condition: "#active = :old AND #name = :name",
			Names:     map[string]string{"#active": schema.AttrActive, "#name": schema.AttrName},
			Values:    table.Item{":new": table.Flag(active), ":old": table.Flag(!active), ":name": table.Text(found.Name)},
		})
		return append([]table.Write{set}, d.Move(found, active)...), nil
	})
}

// SetBot writes a restaurant's bot, moves its phone number, and then sets the restaurant's place in the ranking. It fails
// with restaurant.ErrNotFound, restaurant.ErrNumberTaken, restaurant.ErrIDTaken, outage.ErrUnavailable or the faults of the
// bot. If the place isn't set, because that fails or the process ends, the next SetBot or conversation sets it.
func (g *Registry) SetBot(ctx context.Context, restaurantID string, bot restaurant.Bot) error {
	if err := bot.Validate(); err != nil {
		return err
	}
	err := g.setBot(ctx, restaurantID, bot)
	for attempt := 1; errors.Is(err, errRaced); attempt++ {
		if attempt == directory.Attempts {
			err = directory.ErrBusy
			break
		}
		if err = g.db.Wait(ctx, directory.Delay); err != nil {
			break
		}
		err = g.setBot(ctx, restaurantID, bot)
	}
	if err == nil {
		err = g.ranking.RestateLatest(ctx, restaurantID)
	}
	if err != nil {
		return fmt.Errorf("setting the bot of restaurant %s: %w", restaurantID, err)
	}
	return nil
}

// setBot writes a bot and releases the number and id of the stored bot. If these have changed since they were read, it fails
// with errRaced.
func (g *Registry) setBot(ctx context.Context, restaurantID string, bot restaurant.Bot) error {
	old, err := g.db.Get(ctx, g.names.Bots, schema.RestaurantKey(restaurantID))
	if err != nil {
		return err
	}
	r := &table.Reader{Item: old}
	oldNumber, oldID := r.Text(schema.AttrPhoneNumber), r.Text(schema.AttrBotID)
	if r.Err != nil {
		return r.Err
	}
	items := []table.Write{
		table.Check(g.names.Restaurants, schema.RestaurantKey(restaurantID), table.Expression{
			Condition: "attribute_exists(#id)",
			Names:     map[string]string{"#id": schema.AttrRestaurantID},
		}),
		table.Put(g.names.Bots, schema.BotItem(restaurantID, bot), unchangedNames(old)),
		g.directory.NameBot(bot.ID, restaurantID),
	}
	const idClaim = 2
	if oldID != "" && oldID != bot.ID {
		items = append(items, g.directory.UnnameBot(oldID, restaurantID))
	}
	numberClaim := -1
	if bot.PhoneNumber != "" {
		numberClaim = len(items)
		items = append(items, g.directory.ClaimNumber(bot.PhoneNumber, restaurantID))
	}
	if oldNumber != "" && oldNumber != bot.PhoneNumber {
		items = append(items, g.directory.ReleaseNumber(oldNumber, restaurantID))
	}
	idFree := -1
	if bot.ID != restaurantID {
		idFree = len(items)
		items = append(items, g.directory.NoRestaurant(bot.ID))
	}
	err = g.db.Transact(ctx, items, "")
	var condition *table.ConditionError
	switch {
	case table.FailedCondition(err, 0):
		return restaurant.ErrNotFound
	case table.FailedCondition(err, 1):
		return errRaced
	case table.FailedCondition(err, idClaim), table.FailedCondition(err, idFree):
		return restaurant.ErrIDTaken
	case table.FailedCondition(err, numberClaim):
		return restaurant.ErrNumberTaken
	case errors.As(err, &condition): // another restaurant has just taken the old number
		return errRaced
	}
	return err
}

// unchangedNames is the condition that a stored bot still has the phone number and id of the item that was read. seen is nil
// if there was no bot.
func unchangedNames(seen table.Item) table.Expression {
	e := table.Expression{Names: map[string]string{}, Values: table.Item{}}
	for _, attribute := range []string{schema.AttrPhoneNumber, schema.AttrBotID} {
		same := fmt.Sprintf("attribute_not_exists(#%s)", attribute)
		if value, ok := seen[attribute]; ok {
			same = fmt.Sprintf("#%s = :%s", attribute, attribute)
			e.Values[":"+attribute] = value
		}
		e.Condition = table.Joined(e.Condition, " AND ", same)
		e.Names["#"+attribute] = attribute
	}
	if len(e.Values) == 0 {
		e.Values = nil // DynamoDB refuses an empty map
	}
	return e
}

// Bot returns the bot of a restaurant, nil if it has none.
func (g *Registry) Bot(ctx context.Context, restaurantID string) (*restaurant.Bot, error) {
	it, err := g.db.Get(ctx, g.names.Bots, schema.RestaurantKey(restaurantID))
	if err != nil || it == nil {
		return nil, err
	}
	r := table.Reader{Item: it}
	bot := schema.ReadBot(&r)
	return &bot, r.Err
}
