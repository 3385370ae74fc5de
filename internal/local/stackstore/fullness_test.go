package stackstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// dropBoards deletes the whole ranking.
func dropBoards(t *testing.T, client *dynamodb.Client) {
	t.Helper()
	scan, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &tables.Usage})
	must(t, err)
	dropped := 0
	for _, it := range scan.Items {
		if id, ok := it["restaurantId"].(*types.AttributeValueMemberS); ok && strings.HasPrefix(id.Value, schema.RankingPrefix) {
			dropped++
			_, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
				TableName: &tables.Usage, Key: item{"restaurantId": it["restaurantId"], "period": it["period"]},
			})
			must(t, err)
		}
	}
	if dropped == 0 {
		t.Fatal("there were no boards")
	}
}

// wantPage checks the ids and the total of a page of alerts, with a default limit of 10 a day.
func wantPage(t *testing.T, store *stackstore.Store, share usage.Share, offset, limit int, ids ...string) {
	t.Helper()
	ranks, err := store.Ranks(t.Context(), november)
	must(t, err)
	got, total, err := ranks.Page(t.Context(), share, 10, offset, limit)
	must(t, err)
	slices.Sort(got)
	wantSame(t, "page", got, ids)
	wantSame(t, "total", total, len(ids))
}

// TestReindex: months that are older than the boards, or were imported past them, are on the boards afterwards.
func TestReindex(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store, client := newStore(engine), newClient(engine)
	bot := func(perDay int64) *restaurant.Bot {
		return &restaurant.Bot{ID: fmt.Sprint("b", perDay), Limits: restaurant.Limits{ConversationsPerDay: perDay}}
	}
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), bot(1)))
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(2), bot(usage.Unlimited)))
	for id, used := range map[string]int64{"r00001": 29, "r00002": 5000, "r00003": 290} {
		count := usage.MonthCount{Conversations: used}
		must(t, store.PutUsage(t.Context(), id, usage.Activity{}, map[usage.Month]usage.MonthCount{november: count}))
	}
	dropBoards(t, client)
	for _, id := range []string{"r00001", "r00002"} { // with the attributes of the former index
		key := item{"restaurantId": &types.AttributeValueMemberS{Value: id}, "period": &types.AttributeValueMemberS{Value: november.String()}}
		_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: &tables.Usage, Key: key, UpdateExpression: aws.String("SET listedIn = :in, fullness = :n, step = :n, planLimit = :n"),
			ExpressionAttributeValues: item{":in": &types.AttributeValueMemberS{Value: "2026-11/1"}, ":n": &types.AttributeValueMemberN{Value: "1"}},
		})
		must(t, err)
	}
	must(t, store.PutRestaurants(t.Context(), []restaurant.Restaurant{storetest.Restaurant(3), storetest.Restaurant(4)}))
	if _, err := store.RebuildDirectory(t.Context()); err != nil {
		t.Fatalf("rebuilding the directory: %v", err)
	}
	wantPage(t, store, usage.AlertShare, 0, 10)
	for range 2 {
		n, err := store.Reindex(t.Context())
		must(t, err)
		wantSame(t, "restaurants", n, 4)
		wantPage(t, store, usage.AlertShare, 0, 10, "r00001", "r00003")
		wantPage(t, store, 0, 0, 10, "r00001", "r00003", "r00004")
		key := item{"restaurantId": &types.AttributeValueMemberS{Value: "r00001"}, "period": &types.AttributeValueMemberS{Value: november.String()}}
		output, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &tables.Usage, Key: key})
		must(t, err)
		wantSame(t, "in the former index", output.Item["listedIn"] != nil, false)
	}
}

// TestRepeatInAnotherMonth: a top-up and its repeat arrive together, one before the month's end and one after it. They count
// once.
func TestRepeatInAnotherMonth(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))
	renew := func(ctx context.Context, s *stackstore.Store, month usage.Month) usage.Quota {
		a := usage.TopUp{ID: "adj_" + month.String(), Amount: 5, Type: usage.TopUpType, Reason: "r", CreatedAt: start}
		done, err := s.AddTopUp(ctx, "r00001", month, a, "key", 10)
		must(t, err)
		return done.Quota
	}
	december := usage.Month{Year: 2026, Month: time.December}
	var first usage.Quota
	overtaken := &wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
		roundTrip(func(r *http.Request) (*http.Response, error) {
			first = renew(r.Context(), store, december)
			return engine.RoundTrip(r)
		}), nil,
	}}
	inBubble(t, func(ctx context.Context, t *testing.T) {
		wantSame(t, "the repeat's quota", renew(ctx, newStore(overtaken), november), first)
	})
	record, err := store.Usage(t.Context(), "r00001", december.Last(2))
	must(t, err)
	wantSame(t, "months", record.Months, map[usage.Month]usage.MonthCount{december: {ToppedUp: 5, Days: map[int]int64{}}})
}

// TestPlanChangesMeanwhile: if the plan changes during a top-up, the top-up is decided by the new plan.
func TestPlanChangesMeanwhile(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), &restaurant.Bot{ID: "b", Limits: restaurant.DefaultLimits}))
	overtaken := &wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
		roundTrip(func(r *http.Request) (*http.Response, error) {
			unlimited := restaurant.Bot{ID: "b", Limits: restaurant.Limits{ConversationsPerDay: usage.Unlimited}}
			if err := store.SetBot(r.Context(), "r00001", unlimited); err != nil {
				return nil, err
			}
			return engine.RoundTrip(r)
		}), nil,
	}}
	inBubble(t, func(ctx context.Context, t *testing.T) {
		a := usage.TopUp{ID: "adj_1", Amount: 5, Type: usage.TopUpType, Reason: "r", CreatedAt: start}
		if quota, err := newStore(overtaken).AddTopUp(ctx, "r00001", november, a, "", 10); !errors.Is(err, usage.ErrUnlimited) {
			t.Errorf("quota %+v, error %v, want ErrUnlimited", quota, err)
		}
	})
}

// TestTopUpsMeet: of two simultaneous top-ups, the second adds to the first, also in a month with earlier top-ups.
func TestTopUpsMeet(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))
	topUp := func(ctx context.Context, s *stackstore.Store, amount int64) usage.Quota {
		a := usage.TopUp{
			ID: fmt.Sprint("adj_", amount), Amount: amount, Type: usage.TopUpType, Reason: "r", CreatedAt: start,
		}
		done, err := s.AddTopUp(ctx, "r00001", november, a, "", 10)
		must(t, err)
		return done.Quota
	}
	for _, test := range []struct{ other, own, want int64 }{{1, 10, 11}, {100, 1000, 1111}} {
		overtaken := &wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
			roundTrip(func(r *http.Request) (*http.Response, error) {
				topUp(r.Context(), store, test.other)
				return engine.RoundTrip(r)
			}), nil,
		}}
		inBubble(t, func(ctx context.Context, t *testing.T) {
			quota := topUp(ctx, newStore(overtaken), test.own)
			wantSame(t, "the month's top-ups", quota.ToppedUp, test.want)
		})
	}
}
