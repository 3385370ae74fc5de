package engines

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

// CreateTables creates the tables that template.yaml defines for a stack, at the same time.
func CreateTables(ctx context.Context, client *dynamodb.Client, tables []sam.Table) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, table := range tables {
		group.Go(func() error {
			if _, err := client.CreateTable(ctx, tableInput(table)); err != nil {
				return fmt.Errorf("creating table %s: %w", table.Name, err)
			}
			if table.TimeToLive == "" {
				return nil
			}
			_, err := client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
				TableName: &table.Name,
				TimeToLiveSpecification: &types.TimeToLiveSpecification{
					AttributeName: &table.TimeToLive, Enabled: aws.Bool(true),
				},
			})
			if err != nil {
				return fmt.Errorf("setting the time to live of table %s: %w", table.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// DeleteTables deletes tables with their content.
func DeleteTables(ctx context.Context, client *dynamodb.Client, tables []sam.Table) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, table := range tables {
		group.Go(func() error {
			if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table.Name}); err != nil {
				return fmt.Errorf("deleting table %s: %w", table.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// tableInput returns the request that creates a table.
func tableInput(table sam.Table) *dynamodb.CreateTableInput {
	input := &dynamodb.CreateTableInput{TableName: &table.Name, BillingMode: types.BillingModePayPerRequest}
	defined := make(map[sam.Key]bool)
	schema := func(partition, sort sam.Key) (elements []types.KeySchemaElement) {
		for i, key := range []sam.Key{partition, sort} {
			if key == (sam.Key{}) {
				continue
			}
			elements = append(elements, types.KeySchemaElement{
				AttributeName: aws.String(key.Name), KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i],
			})
			if !defined[key] {
				defined[key] = true
				input.AttributeDefinitions = append(input.AttributeDefinitions, types.AttributeDefinition{
					AttributeName: aws.String(key.Name), AttributeType: types.ScalarAttributeType(key.Type),
				})
			}
		}
		return elements
	}
	input.KeySchema = schema(table.PartitionKey, table.SortKey)
	for _, index := range table.Indexes {
		input.GlobalSecondaryIndexes = append(input.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(index.Name), KeySchema: schema(index.PartitionKey, index.SortKey),
			Projection: &types.Projection{
				ProjectionType: types.ProjectionType(index.Projection), NonKeyAttributes: index.NonKeyAttributes,
			},
		})
	}
	return input
}
