package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// name is what leads to a restaurant: an item of the directory for a bot's phone number or id.
type name struct {
	item         string // its id: number/… or bot/…
	restaurantID string
}

const (
	numberPrefix = "number/"
	botPrefix    = "bot/"
)

// readNames returns the names that bots ask for, and those that the directory has.
func (s *Store) readNames(ctx context.Context) (asked, stored map[name]bool, err error) {
	asked, stored = make(map[name]bool), make(map[name]bool)
	err = s.scan(ctx, s.tables.Bots, func(r *reader) error {
		id := r.text(attrRestaurantID)
		bot := readBot(r)
		asked[name{botPrefix + bot.ID, id}] = true
		if bot.PhoneNumber != "" {
			asked[name{numberPrefix + bot.PhoneNumber, id}] = true
		}
		if r.err != nil {
			return fmt.Errorf("bot of restaurant %q: %w", id, r.err)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = s.scan(ctx, s.tables.Directory, func(r *reader) error {
		var owners []string
		id := r.text("id")
		switch {
		case strings.HasPrefix(id, numberPrefix):
			owners = []string{r.text(attrRestaurantID)}
		case strings.HasPrefix(id, botPrefix):
			owners = r.texts(attrRestaurants)
		}
		for _, owner := range owners {
			stored[name{id, owner}] = true
		}
		if r.err != nil {
			return fmt.Errorf("directory item %s: %w", id, r.err)
		}
		return nil
	})
	return asked, stored, err
}

// wrongNames returns the names that the directory lacks, and those that it has too many.
func (s *Store) wrongNames(ctx context.Context) (missing, left []name, err error) {
	asked, stored, err := s.readNames(ctx)
	return without(asked, stored), without(stored, asked), err
}

// without returns those of all that aren't among the others, in order.
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

// checkNames returns what the directory says otherwise than bots do. A bot that was set between the two readings looks like
// a difference, but not twice.
func (s *Store) checkNames(ctx context.Context) ([]Difference, error) {
	missing, left, err := s.wrongNames(ctx)
	if err != nil || len(missing)+len(left) == 0 {
		return nil, err
	}
	stillMissing, stillLeft, err := s.wrongNames(ctx)
	if err != nil {
		return nil, err
	}
	var found []Difference
	for _, n := range missing {
		if slices.Contains(stillMissing, n) {
			found = append(found, Difference{n.restaurantID, n.String() + " is its bot's, and doesn't lead to it"})
		}
	}
	for _, n := range left {
		if slices.Contains(stillLeft, n) {
			found = append(found, Difference{n.restaurantID, n.String() + " leads to it, and isn't its bot's"})
		}
	}
	return found, nil
}

// String returns the name for a person.
func (n name) String() string {
	if number, ok := strings.CutPrefix(n.item, numberPrefix); ok {
		return "phone number " + number
	}
	return "bot id " + strings.TrimPrefix(n.item, botPrefix)
}

// mendNames removes the names that the directory has too many and then enters those that it lacks, each only if the bot is
// still as it was read. A number that two bots have stays with the one that it leads to.
func (s *Store) mendNames(ctx context.Context) error {
	missing, left, err := s.wrongNames(ctx)
	if err != nil {
		return err
	}
	for _, n := range left {
		if err := s.mendName(ctx, n, false); err != nil {
			return err
		}
	}
	for _, n := range missing {
		if err := s.mendName(ctx, n, true); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) mendName(ctx context.Context, n name, asked bool) error {
	number, isNumber := strings.CutPrefix(n.item, numberPrefix)
	id := strings.TrimPrefix(n.item, botPrefix)
	attribute, value := attrBotID, id
	if isNumber {
		attribute, value = attrPhoneNumber, number
	}
	check := &types.ConditionCheck{
		TableName: &s.tables.Bots, Key: restaurantKey(n.restaurantID),
		ConditionExpression:       optional("#name = :name"),
		ExpressionAttributeNames:  map[string]string{"#name": attribute},
		ExpressionAttributeValues: item{":name": text(value)},
	}
	if !asked {
		check.ConditionExpression = optional("attribute_not_exists(#name) OR #name <> :name")
	}
	var write types.TransactWriteItem
	switch {
	case isNumber && asked:
		write = s.claimNumber(number, n.restaurantID)
	case isNumber:
		write = s.releaseNumber(number, n.restaurantID)
	case asked:
		write = s.nameBot(id, n.restaurantID)
	default:
		write = s.unnameBot(id, n.restaurantID)
	}
	err := s.transact(ctx, []types.TransactWriteItem{write, {ConditionCheck: check}}, "")
	var condition *conditionError
	if errors.As(err, &condition) { // the bot was set meanwhile, or the number is another one's
		return nil
	}
	return err
}
