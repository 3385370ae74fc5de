package stackstore_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Short forms of stored values.
type (
	item = map[string]types.AttributeValue
	s    = types.AttributeValueMemberS
	n    = types.AttributeValueMemberN
	b    = types.AttributeValueMemberBOOL
	l    = types.AttributeValueMemberL
	m    = types.AttributeValueMemberM
)

var tables = schema.StackTables(devstack.StackName)

// corrupt replaces one attribute of a stored item.
func corrupt(t *testing.T, transport http.RoundTripper, table string, key item, attribute string, value types.AttributeValue) {
	t.Helper()
	set := "SET #attribute = :value"
	_, err := newClient(transport).UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &table, Key: key, UpdateExpression: &set,
		ExpressionAttributeNames:  map[string]string{"#attribute": attribute},
		ExpressionAttributeValues: item{":value": value},
	})
	must(t, err)
}

// TestCorruptItems: content that the store didn't write is an error that names the attribute. It isn't an outage, because it
// doesn't pass by itself.
func TestCorruptItems(t *testing.T) {
	t.Parallel()
	token := credential.Grant{Kind: credential.PAT, Restaurants: []string{"r00001"}}.Credential("secret", "cr_1", start)
	bot := restaurant.Bot{ID: "bot", PhoneNumber: "+966110000001"}

	readUsage := func(ctx context.Context, s *stackstore.Store) error {
		_, err := s.Usage(ctx, "r00001", []usage.Month{november})
		return err
	}
	readBot := func(ctx context.Context, s *stackstore.Store) error {
		_, err := s.Bot(ctx, "r00001")
		return err
	}
	readDirectory := func(ctx context.Context, s *stackstore.Store) error {
		_, err := s.Directory(ctx)
		return err
	}
	readPage := func(ctx context.Context, s *stackstore.Store) error {
		directory, err := s.Directory(ctx)
		if err != nil {
			return err
		}
		_, err = directory.Page(ctx, usage.All, 0, 10, november)
		return err
	}
	find := func(ctx context.Context, s *stackstore.Store) error {
		_, err := s.FindCredential(ctx, token.Hash)
		return err
	}
	listCredentials := func(ctx context.Context, s *stackstore.Store) error {
		_, err := s.Credentials(ctx)
		return err
	}
	rebuild := func(ctx context.Context, s *stackstore.Store) error {
		_, err := s.RebuildDirectory(ctx)
		return err
	}
	switchOff := func(ctx context.Context, s *stackstore.Store) error { return s.SetActive(ctx, "r00001", false) }
	setBot := func(ctx context.Context, s *stackstore.Store) error { return s.SetBot(ctx, "r00001", bot) }

	restaurantKey := item{"restaurantId": &s{Value: "r00001"}}
	activityKey := item{"restaurantId": &s{Value: "r00001"}, "period": &s{Value: "activity"}}
	monthKey := item{"restaurantId": &s{Value: "r00001"}, "period": &s{Value: "2026-11"}}
	tokenKey := item{"tokenHash": &s{Value: token.Hash.String()}}
	countsKey := item{"id": &s{Value: "counts"}}
	pageKey := item{"id": &s{Value: "g0/0/active"}}

	for name, test := range map[string]struct {
		table     string
		key       item
		attribute string
		value     types.AttributeValue
		read      func(context.Context, *stackstore.Store) error
	}{
		"name a number":                    {tables.Restaurants, restaurantKey, "name", &n{Value: "7"}, readUsage},
		"name a number, in the list":       {tables.Restaurants, restaurantKey, "name", &n{Value: "7"}, readPage},
		"merchant id a map":                {tables.Restaurants, restaurantKey, "merchantId", &m{Value: item{}}, readUsage},
		"active a text":                    {tables.Restaurants, restaurantKey, "active", &s{Value: "true"}, readUsage},
		"active a text, switching":         {tables.Restaurants, restaurantKey, "active", &s{Value: "true"}, switchOff},
		"active null":                      {tables.Restaurants, restaurantKey, "active", &types.AttributeValueMemberNULL{Value: true}, readUsage},
		"creation time in words":           {tables.Restaurants, restaurantKey, "createdAt", &s{Value: "yesterday"}, readUsage},
		"creation time a number":           {tables.Restaurants, restaurantKey, "createdAt", &n{Value: "1760974204123"}, readUsage},
		"creation time, rebuilding":        {tables.Restaurants, restaurantKey, "createdAt", &s{Value: "2026-13-01T00:00:00.000Z"}, rebuild},
		"limit a text":                     {tables.Bots, restaurantKey, "maxMessagesPerDay", &s{Value: "1000"}, readUsage},
		"limit a fraction":                 {tables.Bots, restaurantKey, "maxMessagesPerMin", &n{Value: "0.5"}, readBot},
		"limit of twenty digits":           {tables.Bots, restaurantKey, "maxMessagesPerDay", &n{Value: "10000000000000000000"}, readBot},
		"phone number a number":            {tables.Bots, restaurantKey, "phoneNumber", &n{Value: "966110000001"}, readBot},
		"phone number a number, setting":   {tables.Bots, restaurantKey, "phoneNumber", &n{Value: "966110000001"}, setBot},
		"conversations a text":             {tables.Usage, monthKey, "conversations", &s{Value: "45"}, readUsage},
		"conversations of a day a text":    {tables.Usage, monthKey, "d07", &s{Value: "many"}, readUsage},
		"last conversation without zone":   {tables.Usage, monthKey, "lastConversationAt", &s{Value: "2026-11-23T12:00:00"}, readUsage},
		"first activity a boolean":         {tables.Usage, activityKey, "firstActivity", &b{Value: true}, readUsage},
		"last activity of 30 February":     {tables.Usage, activityKey, "lastActivity", &s{Value: "2026-02-30T00:00:00.000Z"}, readUsage},
		"kind a number":                    {tables.AccessTokens, tokenKey, "kind", &n{Value: "1"}, find},
		"expiry in words":                  {tables.AccessTokens, tokenKey, "expiresAt", &s{Value: "never"}, find},
		"expiry in words, listing":         {tables.AccessTokens, tokenKey, "expiresAt", &s{Value: "never"}, listCredentials},
		"revocation a boolean":             {tables.AccessTokens, tokenKey, "revokedAt", &b{Value: true}, find},
		"restaurants a list":               {tables.AccessTokens, tokenKey, "restaurants", &l{Value: []types.AttributeValue{&s{Value: "r00001"}}}, find},
		"all restaurants a text":           {tables.AccessTokens, tokenKey, "allRestaurants", &s{Value: "false"}, find},
		"directory's counts a number":      {tables.Directory, countsKey, "all", &n{Value: "1"}, readDirectory},
		"directory's counts texts":         {tables.Directory, countsKey, "active", &l{Value: []types.AttributeValue{&s{Value: "1"}}}, readDirectory},
		"directory's generation":           {tables.Directory, countsKey, "generation", &s{Value: "g0"}, readDirectory},
		"directory's bounds are fractions": {tables.Directory, countsKey, "from", &l{Value: []types.AttributeValue{&n{Value: "0.1"}}}, readDirectory},
		"directory's entries a list":       {tables.Directory, pageKey, "entries", &l{}, readPage},
		"directory's entries are times":    {tables.Directory, pageKey, "entries", &m{Value: item{"r00001": &s{Value: "2026"}}}, readPage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t).Transport()
			store := newStore(engine)
			must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), &bot))
			must(t, store.AddCredential(t.Context(), token))
			must(t, store.PutUsage(t.Context(), "r00001", usage.Activity{First: start, Last: start},
				map[usage.Month]usage.MonthCount{november: {Conversations: 1}}))
			must(t, test.read(t.Context(), store))

			corrupt(t, engine, test.table, test.key, test.attribute, test.value)
			store = newStore(engine)
			switch err := test.read(t.Context(), store); {
			case err == nil:
				t.Error("nothing was found wrong")
			case !strings.Contains(err.Error(), `"`+test.attribute+`"`):
				t.Errorf("error %q doesn't name %q", err, test.attribute)
			case errors.Is(err, outage.ErrUnavailable), errors.Is(err, credential.ErrRefused), errors.Is(err, restaurant.ErrNotFound):
				t.Errorf("error %v stands for something that callers act on", err)
			}
		})
	}
}

// TestCorruptKeys: a key can't have another type, but it can have content that the store didn't write.
func TestCorruptKeys(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	_, err := newClient(engine).PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: &tables.AccessTokens, Item: item{"tokenHash": &s{Value: "the value itself"}},
	})
	must(t, err)
	if all, err := newStore(engine).Credentials(t.Context()); err == nil || strings.Contains(err.Error(), "the value itself") {
		t.Errorf("credentials %v, error %v; want an error that doesn't repeat the key", all, err)
	}

	month := respond(http.StatusOK,
		`{"Responses":{"sufrah-local-usage":[{"restaurantId":{"S":"r00001"},"period":{"S":"2026-13"}}]},"UnprocessedKeys":{}}`)
	if record, err := newStore(month).Usage(t.Context(), "r00001", nil); err == nil || !strings.Contains(err.Error(), "2026-13") {
		t.Errorf("usage %+v, error %v; want one that names the month", record, err)
	}
}

// TestRebuildRepairs: the error for a corrupt directory asks for a rebuild, so the rebuild must repair it.
func TestRebuildRepairs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		id, attribute string
		value         types.AttributeValue
	}{
		"counts of a page too many": {"counts", "all", &l{Value: []types.AttributeValue{&n{Value: "3"}, &n{Value: "0"}}}},
		"counts that are none":      {"counts", "active", &s{Value: "3"}},
		"wrong counts":              {"counts", "all", &l{Value: []types.AttributeValue{&n{Value: "9"}}}},
		"no generation":             {"counts", "generation", &s{Value: "g0"}},
		"entries that are none":     {"g0/0/active", "entries", &s{Value: "r00001"}},
		"no entries":                {"g0/0/active", "entries", &m{Value: item{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t).Transport()
			store := newStore(engine)
			for i := range 3 {
				must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(i), nil))
			}
			want := snapshot(t.Context(), t, store)
			corrupt(t, engine, tables.Directory, item{"id": &s{Value: test.id}}, test.attribute, test.value)
			if rebuilt, err := store.RebuildDirectory(t.Context()); err != nil || rebuilt != 3 {
				t.Fatalf("%d restaurants, error %v", rebuilt, err)
			}
			wantSame(t, "the list", snapshot(t.Context(), t, store), want)
		})
	}
}
