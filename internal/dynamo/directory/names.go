package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// name is an item of the directory that leads from a bot's phone number or id to its restaurant.
type name struct {
	item         string // id of the item: number/… or bot/…
	restaurantID string
}

const (
	attrRestaurants = "restaurants" // of the item of a bot's id: the restaurants of all bots with this id

	numberPrefix = "number/"
	botPrefix    = "bot/"
)

// readNames returns the names that the bots need, and the names that the directory has.
func (d *Directory) readNames(ctx context.Context) (asked, stored map[name]bool, err error) {
	asked, stored = make(map[name]bool), make(map[name]bool)
	err = d.db.Scan(ctx, d.names.Bots, func(r *table.Reader) error {
		id := r.Text(schema.AttrRestaurantID)
		bot := schema.ReadBot(r)
		asked[name{botPrefix + bot.ID, id}] = true
		if bot.PhoneNumber != "" {
			asked[name{numberPrefix + bot.PhoneNumber, id}] = true
		}
		if r.Err != nil {
			return fmt.Errorf("bot of restaurant %q: %w", id, r.Err)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = d.db.Scan(ctx, d.names.Directory, func(r *table.Reader) error {
		var owners []string
		id := r.Text("id")
		switch {
		case strings.HasPrefix(id, numberPrefix):
			owners = []string{r.Text(schema.AttrRestaurantID)}
		case strings.HasPrefix(id, botPrefix):
			owners = r.Texts(attrRestaurants)
		}
		for _, owner := range owners {
			stored[name{id, owner}] = true
		}
		if r.Err != nil {
			return fmt.Errorf("directory item %s: %w", id, r.Err)
		}
		return nil
	})
	return asked, stored, err
}

// wrongNames returns the names that the directory lacks, and the names that it has for no bot.
func (d *Directory) wrongNames(ctx context.Context) (missing, left []name, err error) {
	asked, stored, err := d.readNames(ctx)
	return without(asked, stored), without(stored, asked), err
}

// without returns the names in all that are not in others, in order.
func without(all, others map[name]bool) []name {
	var rest []name
	for n := range all {
		if !others[n] {
			rest = append(rest, n)
		}
	}
	slices.SortFunc(rest, func(a, b name) int {
		return cmp.Or(cmp.Compare(a.restaurantID, b.restaurantID), cmp.Compare(a.item, b.item))
	})
	return rest
}

// checkNames returns the differences between the directory's names and the bots. A bot that is set between the reads of the
// two looks like a difference, so only a difference found twice counts.
func (d *Directory) checkNames(ctx context.Context) ([]Difference, error) {
	missing, left, err := d.wrongNames(ctx)
	if err != nil || len(missing)+len(left) == 0 {
		return nil, err
	}
	stillMissing, stillLeft, err := d.wrongNames(ctx)
	if err != nil {
		return nil, err
	}
	var found []Difference
	for _, n := range missing {
		if slices.Contains(stillMissing, n) {
			found = append(found, Difference{n.restaurantID, n.String() + " of its bot does not lead to this restaurant"})
		}
	}
	for _, n := range left {
		if slices.Contains(stillLeft, n) {
			found = append(found, Difference{n.restaurantID, n.String() + " leads to this restaurant, but is not its bot's"})
		}
	}
	return found, nil
}

// checkIDs returns the ids that belong to more than one restaurant or bot, and the ids that are words of the API's paths.
// Such ids were stored before we refused them. Rebuild can't mend them: somebody must give up an id.
func (d *Directory) checkIDs(ctx context.Context) ([]Difference, error) {
	owners := make(map[string][]string) // by a bot's id, the restaurants of all bots with this id
	err := d.db.Scan(ctx, d.names.Bots, func(r *table.Reader) error {
		id := schema.ReadBot(r).ID
		owners[id] = append(owners[id], r.Text(schema.AttrRestaurantID))
		return r.Err
	})
	if err != nil {
		return nil, err
	}
	all, err := d.listing(ctx)
	if err != nil {
		return nil, err
	}
	var found []Difference
	for _, r := range all {
		if restaurant.Reserved(r.id) {
			found = append(found, Difference{r.id, "has a reserved id, which is a word of the API's paths"})
		}
		for _, owner := range owners[r.id] {
			if owner != r.id {
				found = append(found, Difference{owner, "bot id " + r.id + " is another restaurant's id"})
			}
		}
	}
	for id, restaurants := range owners {
		for _, owner := range restaurants {
			if restaurant.Reserved(id) {
				found = append(found, Difference{owner, "bot id " + id + " is reserved: it is a word of the API's paths"})
			}
			if len(restaurants) > 1 {
				found = append(found, Difference{owner, fmt.Sprintf("bot id %s belongs to %d bots", id, len(restaurants))})
			}
		}
	}
	slices.SortFunc(found, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.RestaurantID, b.RestaurantID), cmp.Compare(a.What, b.What))
	})
	return found, nil
}

// String returns the name for a person.
func (n name) String() string {
	if number, ok := strings.CutPrefix(n.item, numberPrefix); ok {
		return "phone number " + number
	}
	return "bot id " + strings.TrimPrefix(n.item, botPrefix)
}

// mendNames removes the directory's superfluous names and then enters the missing ones, each only if the bot hasn't changed
// since it was read. A number or id of two bots keeps leading to the same bot as now.
func (d *Directory) mendNames(ctx context.Context) error {
	missing, left, err := d.wrongNames(ctx)
	if err != nil {
		return err
	}
	for _, n := range left {
		if err := d.mendName(ctx, n, false); err != nil {
			return err
		}
	}
	for _, n := range missing {
		if err := d.mendName(ctx, n, true); err != nil {
			return err
		}
	}
	return nil
}

func (d *Directory) mendName(ctx context.Context, n name, asked bool) error {
	number, isNumber := strings.CutPrefix(n.item, numberPrefix)
	id := strings.TrimPrefix(n.item, botPrefix)
	attribute, value := schema.AttrBotID, id
	if isNumber {
		attribute, value = schema.AttrPhoneNumber, number
	}
	bot := table.Expression{
		Condition: "#name = :name",
		Names:     map[string]string{"#name": attribute},
		Values:    table.Item{":name": table.Text(value)},
	}
	if !asked {
		bot.Condition = "attribute_not_exists(#name) OR #name <> :name"
	}
	var write table.Write
	switch {
	case isNumber && asked:
		write = d.ClaimNumber(number, n.restaurantID)
	case isNumber:
		write = d.ReleaseNumber(number, n.restaurantID)
	case asked:
		write = d.NameBot(id, n.restaurantID)
	default:
		write = d.UnnameBot(id, n.restaurantID)
	}
	err := d.db.Transact(ctx, []table.Write{write, table.Check(d.names.Bots, schema.RestaurantKey(n.restaurantID), bot)}, "")
	var condition *table.ConditionError
	if errors.As(err, &condition) { // the bot was changed meanwhile, or another bot has the name
		return nil
	}
	return err
}

// numberKey is the key of the directory's item for a phone number. The item is read strongly consistently, and conditional
// writes keep a number from belonging to two restaurants. An index could do neither.
func numberKey(phoneNumber string) table.Item { return key(numberPrefix + phoneNumber) }

// ClaimNumber is the write that gives a phone number to a restaurant. Its condition fails if another restaurant has the
// number.
func (d *Directory) ClaimNumber(phoneNumber, restaurantID string) table.Write {
	it := numberKey(phoneNumber)
	it[schema.AttrRestaurantID] = table.Text(restaurantID)
	return table.Put(d.names.Directory, it, table.Expression{
		Condition: "attribute_not_exists(#id) OR #owner = :owner",
		Names:     map[string]string{"#id": "id", "#owner": schema.AttrRestaurantID},
		Values:    table.Item{":owner": table.Text(restaurantID)},
	})
}

// ReleaseNumber is the write that takes a phone number from a restaurant. Its condition fails if another restaurant has the
// number.
func (d *Directory) ReleaseNumber(phoneNumber, restaurantID string) table.Write {
	return table.Delete(d.names.Directory, numberKey(phoneNumber), table.Expression{
		Condition: "attribute_not_exists(#owner) OR #owner = :owner",
		Names:     map[string]string{"#owner": schema.AttrRestaurantID},
		Values:    table.Item{":owner": table.Text(restaurantID)},
	})
}

// botKey is the key of the directory's item for a bot's id. The item holds the restaurants of all bots with this id: a single
// one, except for bots that are older than the rule that ids are unique.
func botKey(botID string) table.Item { return key(botPrefix + botID) }

// NameBot is the write that lets a bot's id lead to a restaurant. Its condition fails if the id leads only to others.
// UnnameBot undoes it.
func (d *Directory) NameBot(botID, restaurantID string) table.Write {
	return table.Update(d.names.Directory, botKey(botID), table.Expression{
		Add:       "#restaurants :one",
		Condition: "attribute_not_exists(#restaurants) OR contains(#restaurants, :id)",
		Names:     map[string]string{"#restaurants": attrRestaurants},
		Values:    table.Item{":one": table.TextSet(restaurantID), ":id": table.Text(restaurantID)},
	})
}

func (d *Directory) UnnameBot(botID, restaurantID string) table.Write {
	return table.Update(d.names.Directory, botKey(botID), table.Expression{
		Drop:   "#restaurants :one",
		Names:  map[string]string{"#restaurants": attrRestaurants},
		Values: table.Item{":one": table.TextSet(restaurantID)},
	})
}

// OfBot returns the restaurant of the bot with an id, in one round trip. It fails with restaurant.ErrNotFound or
// outage.ErrUnavailable.
func (d *Directory) OfBot(ctx context.Context, botID string) (string, error) {
	it, err := d.db.Get(ctx, d.names.Directory, botKey(botID))
	if err != nil {
		return "", fmt.Errorf("looking up bot %s: %w", botID, err)
	}
	r := table.Reader{Item: it}
	owners := r.Texts(attrRestaurants)
	if r.Err != nil {
		return "", r.Err
	}
	if len(owners) != 1 {
		return "", restaurant.ErrNotFound
	}
	return owners[0], nil
}

// OfNumber returns the restaurant of the bot with a phone number, in one round trip. It fails with
// restaurant.ErrNotFound or outage.ErrUnavailable.
func (d *Directory) OfNumber(ctx context.Context, phoneNumber string) (string, error) {
	it, err := d.db.Get(ctx, d.names.Directory, numberKey(phoneNumber))
	if err != nil {
		return "", fmt.Errorf("looking up a phone number: %w", err)
	}
	r := table.Reader{Item: it}
	id := r.Text(schema.AttrRestaurantID)
	if r.Err == nil && id == "" {
		r.Err = restaurant.ErrNotFound
	}
	return id, r.Err
}

// NoBot is the condition that no bot has an id.
func (d *Directory) NoBot(id string) table.Write {
	return table.Check(d.names.Directory, botKey(id), table.Expression{
		Condition: "attribute_not_exists(#restaurants)", Names: map[string]string{"#restaurants": attrRestaurants},
	})
}

// NoRestaurant is the condition that no restaurant has an id.
func (d *Directory) NoRestaurant(id string) table.Write {
	return table.Check(d.names.Restaurants, schema.RestaurantKey(id), table.Expression{
		Condition: "attribute_not_exists(#id)", Names: map[string]string{"#id": schema.AttrRestaurantID},
	})
}
