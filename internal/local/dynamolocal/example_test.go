package dynamolocal_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
)

// The SDK's client runs on an engine in process. It needs credentials, although nobody checks them.
func ExampleEngine_Transport() {
	engine := dynamolocal.New(time.Now, dynamolocal.Table{
		Name: "visits", PartitionKey: dynamolocal.Key{Name: "page", Type: "S"},
	})
	client := dynamodb.NewFromConfig(aws.Config{
		Region:       "local",
		BaseEndpoint: aws.String("http://dynamodb.local"),
		HTTPClient:   &http.Client{Transport: engine.Transport()},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	})
	for range 3 {
		_, err := client.UpdateItem(context.Background(), &dynamodb.UpdateItemInput{
			TableName:        aws.String("visits"),
			Key:              map[string]types.AttributeValue{"page": &types.AttributeValueMemberS{Value: "home"}},
			UpdateExpression: aws.String("ADD visitors :one"),
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":one": &types.AttributeValueMemberN{Value: "1"},
			},
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	read, written := engine.Consumed("visits")
	fmt.Println(engine.ItemCount("visits"), "item,", read, "read units,", written, "write units")
	// Output: 1 item, 0 read units, 3 write units
}
