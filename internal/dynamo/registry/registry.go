// Package registry keeps restaurants and their bots, and reads all that is counted of them.
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

// errRaced says that a bot was changed between being read and being written.
var errRaced = errors.New("others changed the bot meanwhile")

// TenantByNumber returns the restaurant of the bot with a phone number, and the bot, in two round trips. It fails with
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
	// The number may have moved on between the two reads.
	if tenant.Restaurant.ID == "" || tenant.Bot.PhoneNumber != phoneNumber {
		return conversation.Tenant{}, restaurant.ErrNotFound
	}
	return tenant, nil
}

// CreateRestaurant adds a restaurant, with a bot or without (nil), and enters it in the directory, all at once. It
// fails with restaurant.ErrExists, restaurant.ErrNumberTaken or restaurant.ErrIDTaken, with the faults of either, or with
// outage.ErrUnavailable. Times are kept to the millisecond.
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
	taken := len(items) // from here on, conditions that ids are free
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
		err = g.ranking.RestateLatest(ctx, r.ID) // usage may have been imported before
	}
	if err != nil {
		return fmt.Errorf("creating restaurant %s: %w", r.ID, err)
	}
	return nil
}

// PutRestaurants overwrites restaurants, without entering them in the directory and listing their months. It is for
// importing many restaurants; afterwards RebuildDirectory enters and Reindex lists all at once.
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

// SetActive switches a restaurant on or off, with its entry in the directory. It fails with restaurant.ErrNotFound or
// outage.ErrUnavailable. Setting the current state changes nothing in the directory. The restaurant's month is listed
// right after; if that fails or the process ends, setting the state again completes it.
func (g *Registry) SetActive(ctx context.Context, restaurantID string, active bool) error {
	err := g.setActive(ctx, restaurantID, active)
	for attempt := 1; table.FailedCondition(err, 0); attempt++ {
		// Somebody else switched or renamed it just now, with the same directory entry.
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

// setActive switches a restaurant that is as it was read: its words, which say whether it is active, go by its name.
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

// SetBot writes a restaurant's bot configuration, and moves its phone number. It fails with restaurant.ErrNotFound,
// restaurant.ErrNumberTaken, restaurant.ErrIDTaken, the faults of the bot, or outage.ErrUnavailable. The month is listed under its new limit right
// after: where that fails, or the process ends, setting the bot again does it, and so does the next conversation.
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

// setBot writes a bot, provided that the stored bot still has the number and the id that are to be released. Otherwise it
// fails with errRaced.
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
	case errors.As(err, &condition): // the old number went to somebody else just now
		return errRaced
	}
	return err
}

// unchangedNames is the condition that a bot has the phone number and the id of the item that was read, nil if there was
// none.
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
		e.Values = nil // DynamoDB takes no empty map
	}
	return e
}

// Bot returns the bot configuration of a restaurant, nil if it has none.
func (g *Registry) Bot(ctx context.Context, restaurantID string) (*restaurant.Bot, error) {
	it, err := g.db.Get(ctx, g.names.Bots, schema.RestaurantKey(restaurantID))
	if err != nil || it == nil {
		return nil, err
	}
	r := table.Reader{Item: it}
	bot := schema.ReadBot(&r)
	return &bot, r.Err
}
