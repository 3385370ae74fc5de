package schema

import (
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// AttrRestaurantID is the partition key of every table with data of restaurants.
const AttrRestaurantID = "restaurantId"

// Attributes of restaurants and bots that conditions name.
const (
	AttrName        = "name"
	AttrMerchantID  = "merchantId"
	AttrActive      = "active"
	AttrBotID       = "botId"
	AttrPhoneNumber = "phoneNumber"
	AttrDailyLimit  = "maxMessagesPerDay"
	AttrPlan        = "plan" // of a bot: PlanLimited or PlanUnlimited

	PlanLimited   = "limited"
	PlanUnlimited = "unlimited"
)

// RestaurantKey is the key of a restaurant, and of its bot in the table of bots.
func RestaurantKey(id string) table.Item { return table.Item{AttrRestaurantID: table.Text(id)} }

// RestaurantItem returns a restaurant in its stored form; ReadRestaurant is the reverse.
func RestaurantItem(r restaurant.Restaurant) table.Item {
	it := RestaurantKey(r.ID)
	it[AttrName] = table.Text(r.Name)
	it[AttrActive] = table.Flag(r.Active)
	it["createdAt"] = table.Instant(r.CreatedAt)
	table.SetText(it, AttrMerchantID, r.MerchantID)
	return it
}

func ReadRestaurant(r *table.Reader) restaurant.Restaurant {
	return restaurant.Restaurant{
		ID:         r.Text(AttrRestaurantID),
		Name:       r.Text(AttrName),
		MerchantID: r.Text(AttrMerchantID),
		Active:     r.Flag(AttrActive),
		CreatedAt:  r.Instant("createdAt"),
	}
}

// BotItem returns a bot in its stored form; ReadBot is the reverse.
func BotItem(restaurantID string, b restaurant.Bot) table.Item {
	it := RestaurantKey(restaurantID)
	it[AttrBotID] = table.Text(b.ID)
	it[AttrDailyLimit] = table.Number(b.Limits.ConversationsPerDay)
	it["maxMessagesPerMin"] = table.Number(b.Limits.AnswersPerMinute)
	it[AttrPlan] = table.Text(PlanOf(b.Limits.ConversationsPerDay))
	table.SetText(it, AttrPhoneNumber, b.PhoneNumber)
	table.SetText(it, "twilioAccountSid", b.TwilioAccountSID)
	table.SetText(it, "ownerNumber", b.OwnerNumber)
	return it
}

func ReadBot(r *table.Reader) restaurant.Bot {
	return restaurant.Bot{
		ID:               r.Text(AttrBotID),
		PhoneNumber:      r.Text(AttrPhoneNumber),
		TwilioAccountSID: r.Text("twilioAccountSid"),
		OwnerNumber:      r.Text("ownerNumber"),
		Limits: restaurant.Limits{
			ConversationsPerDay: r.Number(AttrDailyLimit),
			AnswersPerMinute:    r.Number("maxMessagesPerMin"),
		},
	}
}

// PlanOf returns PlanUnlimited for an unlimited plan, otherwise PlanLimited.
func PlanOf(dailyLimit int64) string {
	if dailyLimit < 0 {
		return PlanUnlimited
	}
	return PlanLimited
}
