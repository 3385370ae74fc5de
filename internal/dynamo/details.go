package dynamo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Sessions implements usage.Journal in two round trips. The index by opening knows which ones they are, some moments late;
// the sessions themselves are as they are now.
func (s *Store) Sessions(ctx context.Context, restaurantID string, most int) ([]usage.Session, error) {
	backwards, limit := false, int32(most)
	output, err := s.client.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.tables.Conversations, IndexName: optional(openingIndex), ScanIndexForward: &backwards, Limit: &limit,
		KeyConditionExpression:    optional("#id = :id"),
		ExpressionAttributeNames:  map[string]string{"#id": attrRestaurantID},
		ExpressionAttributeValues: item{":id": text(restaurantID)},
	})
	if err != nil {
		return nil, fmt.Errorf("finding the sessions of restaurant %s: %w", restaurantID, translate(err))
	}
	if len(output.Items) == 0 {
		return nil, nil
	}
	keys := make([]tableKey, len(output.Items))
	for i, it := range output.Items {
		keys[i] = tableKey{s.tables.Conversations, item{attrRestaurantID: it[attrRestaurantID], attrEntry: it[attrEntry]}}
	}
	var sessions []usage.Session
	var fault error
	err = s.getAll(ctx, keys, func(_ string, it item) {
		r := reader{item: it}
		sessions = append(sessions, readSession(&r))
		if r.err != nil {
			fault = fmt.Errorf("session of restaurant %s: %w", restaurantID, r.err)
		}
	})
	if err == nil {
		err = fault
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(sessions, usage.NewestFirst)
	return sessions, nil
}

func readSession(r *reader) usage.Session {
	customer := strings.TrimPrefix(r.text(attrEntry), sessionPrefix)
	if ended, ok := strings.CutPrefix(customer, endedPrefix); ok {
		customer, _, _ = strings.Cut(ended, "/")
	}
	return usage.Session{
		ID: r.text(attrOpenedBy), Customer: customer, OpenedAt: r.instant(attrOpened),
		LastMessage: r.instant(attrLastMessage), Messages: r.number(attrMessages),
	}
}

// TopUps implements usage.Journal in one round trip.
func (s *Store) TopUps(ctx context.Context, restaurantID string, month usage.Month, most int) ([]usage.TopUp, error) {
	consistent, backwards, limit := true, false, int32(most)
	output, err := s.client.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.tables.Usage, ConsistentRead: &consistent, ScanIndexForward: &backwards, Limit: &limit,
		KeyConditionExpression:   optional("#id = :id AND begins_with(#period, :prefix)"),
		ExpressionAttributeNames: map[string]string{"#id": attrRestaurantID, "#period": "period"},
		ExpressionAttributeValues: item{
			":id": text(restaurantID), ":prefix": text(topUpPrefix(month)),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("reading the top-ups of restaurant %s: %w", restaurantID, translate(err))
	}
	topUps := make([]usage.TopUp, len(output.Items))
	for i, it := range output.Items {
		r := reader{item: it}
		topUps[i] = usage.TopUp{
			ID: r.text("id"), Amount: r.number(attrAmount), Type: r.text("type"), Reason: r.text(attrReason),
			CreatedAt: r.instant(attrCreatedAt), CreatedBy: r.text("createdBy"),
		}
		if r.err != nil {
			return nil, fmt.Errorf("top-up of restaurant %s: %w", restaurantID, r.err)
		}
	}
	return topUps, nil
}
