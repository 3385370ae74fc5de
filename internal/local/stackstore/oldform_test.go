package stackstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// oldRecorder records messages as processes did until November 2026, with a marker for each message and sessions without ids.
// During a rolling release, old and new processes run at the same time.
type oldRecorder struct{ client *dynamodb.Client }

func storedTime(t time.Time) types.AttributeValue {
	return &s{Value: t.UTC().Format("2006-01-02T15:04:05.000Z")}
}

func (o oldRecorder) record(ctx context.Context, m conversation.Message) error {
	key := func(entry string) item {
		return item{"restaurantId": &s{Value: m.RestaurantID}, "entry": &s{Value: entry}}
	}
	marker := key("message/" + m.ID)
	marker["receivedAt"], marker["delivery"], marker["reply"] = storedTime(m.ReceivedAt), &s{Value: m.Delivery}, &s{Value: "due"}
	at := m.ReceivedAt
	_, err := o.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &tables.Conversations, Item: marker, ConditionExpression: aws.String("attribute_not_exists(entry)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		received, _ := failed.Item["receivedAt"].(*s)
		if at, err = time.Parse(time.RFC3339, received.Value); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	session := key("customer/" + m.Customer)
	_, err = o.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &tables.Conversations, Key: session,
		UpdateExpression:    aws.String("SET lastMessageAt = :at ADD messages :one"),
		ConditionExpression: aws.String("lastMessageAt < :at AND lastMessageAt > :closed"),
		ExpressionAttributeValues: item{
			":at": storedTime(at), ":closed": storedTime(at.Add(-conversation.SessionLength)), ":one": &n{Value: "1"},
		},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if !errors.As(err, &failed) {
		return err
	}
	set, condition := "SET openedAt = :at, openedBy = :id, lastMessageAt = :at, messages = :one", "lastMessageAt = :seen"
	values := item{":at": storedTime(at), ":id": &s{Value: m.ID}, ":one": &n{Value: "1"}}
	if last, ok := failed.Item["lastMessageAt"].(*s); ok {
		if last.Value > at.Add(-conversation.SessionLength).UTC().Format("2006-01-02T15:04:05.000Z") {
			return nil // a later message has extended it
		}
		values[":seen"] = last
	} else {
		set, condition = set+", firstMessage = :id, #reply = :due", "attribute_not_exists(entry)"
		values[":due"] = &s{Value: "due"}
	}
	update := &types.Update{
		TableName: &tables.Conversations, Key: session, UpdateExpression: &set, ConditionExpression: &condition, ExpressionAttributeValues: values,
	}
	if values[":due"] != nil {
		update.ExpressionAttributeNames = map[string]string{"#reply": "reply"}
	}
	_, err = o.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Update: update},
		{Update: &types.Update{
			TableName: &tables.Usage, Key: item{"restaurantId": &s{Value: m.RestaurantID}, "period": &s{Value: at.Format("2006-01")}},
			UpdateExpression:          aws.String("ADD conversations :one"),
			ExpressionAttributeValues: item{":one": &n{Value: "1"}},
		}},
	}})
	return err
}

// TestOldAndNewForm: old and new processes record the same customers' messages in any order, and each message and each repeat
// may come to either. Every session is counted once.
func TestOldAndNewForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		engine := newEngine(t).Transport()
		store := newStore(engine)
		must(t, store.CreateRestaurant(context.Background(), storetest.Restaurant(1), nil))
		old, recorder := oldRecorder{newClient(engine)}, store.Recorder(usage.NewCalendar(nil))
		now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
		last := make(map[string]time.Time)
		var want int64
		deliver := func(m conversation.Message) {
			m.ReceivedAt = now
			var err error
			if rapid.Bool().Draw(rt, "old") {
				err = old.record(context.Background(), m)
			} else {
				_, err = storetest.Record(context.Background(), recorder, m)
			}
			if err != nil {
				rt.Fatalf("recording the message: %v", err)
			}
		}
		for i := range rapid.IntRange(1, 12).Draw(rt, "messages") {
			now = now.Add(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 23 * time.Hour, 25 * time.Hour}).Draw(rt, "pause"))
			m := conversation.Message{ID: fmt.Sprint("m", i), RestaurantID: "r00001", Delivery: fmt.Sprint("d", i),
				Customer: rapid.SampledFrom([]string{"+966500000001", "+966500000002"}).Draw(rt, "customer")}
			if before, known := last[m.Customer]; !known || now.Sub(before) >= conversation.SessionLength {
				want++
			}
			last[m.Customer] = now
			deliver(m)
			for repeat := range rapid.IntRange(0, 2).Draw(rt, "repeats") {
				now = now.Add(time.Second)
				m.Delivery = fmt.Sprint("d", i, ".", repeat)
				deliver(m)
			}
			last[m.Customer] = now // a process of the other form counts a repeat as a message, some seconds later
		}
		record, err := store.Usage(context.Background(), "r00001", []usage.Month{november})
		if err != nil {
			rt.Fatalf("reading the stored usage: %v", err)
		}
		if got := record.Months[november].Conversations; got != want {
			rt.Fatalf("%d conversations, want %d", got, want)
		}
	})
}
