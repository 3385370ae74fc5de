// Command minimal makes, for every event, the DynamoDB calls that it is given in CALLS, through the SDK, and nothing else: a
// handler that does what a function does can't be faster. Calls of the same wave are made at the same time.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
)

// values are attribute values as they are on the wire.
type values map[string]map[string]any

// input has the fields of all operations that functions use, by their names on the wire.
type input struct {
	TableName                           *string
	Key, Item                           values
	ConsistentRead                      *bool
	KeyConditionExpression              *string
	UpdateExpression                    *string
	ConditionExpression                 *string
	ProjectionExpression                *string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           values
	ReturnValues                        types.ReturnValue
	ReturnValuesOnConditionCheckFailure types.ReturnValuesOnConditionCheckFailure
	RequestItems                        map[string]struct {
		Keys                     []values
		ConsistentRead           *bool
		ProjectionExpression     *string
		ExpressionAttributeNames map[string]string
	}
}

func (v values) typed() map[string]types.AttributeValue {
	if v == nil {
		return nil
	}
	typed := make(map[string]types.AttributeValue, len(v))
	for name, value := range v {
		for kind, content := range value {
			switch kind {
			case "S":
				typed[name] = &types.AttributeValueMemberS{Value: content.(string)}
			case "N":
				typed[name] = &types.AttributeValueMemberN{Value: content.(string)}
			case "BOOL":
				typed[name] = &types.AttributeValueMemberBOOL{Value: content.(bool)}
			case "B":
				typed[name] = &types.AttributeValueMemberB{Value: decoded(content)}
			case "SS":
				typed[name] = &types.AttributeValueMemberSS{Value: each(content, func(member any) string { return member.(string) })}
			case "NS":
				typed[name] = &types.AttributeValueMemberNS{Value: each(content, func(member any) string { return member.(string) })}
			case "BS":
				typed[name] = &types.AttributeValueMemberBS{Value: each(content, decoded)}
			default:
				panic("no call has had a value of the type " + kind)
			}
		}
	}
	return typed
}

func decoded(content any) []byte {
	data, err := base64.StdEncoding.DecodeString(content.(string))
	if err != nil {
		panic(err)
	}
	return data
}

func each[T any](content any, read func(any) T) (members []T) {
	for _, member := range content.([]any) {
		members = append(members, read(member))
	}
	return members
}

// call returns what makes one call.
func call(client *dynamodb.Client, target string, body json.RawMessage) (func(context.Context) error, error) {
	var in input
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	switch _, operation, _ := strings.Cut(target, "."); operation {
	case "GetItem":
		i := &dynamodb.GetItemInput{TableName: in.TableName, Key: in.Key.typed(), ConsistentRead: in.ConsistentRead,
			ProjectionExpression: in.ProjectionExpression, ExpressionAttributeNames: in.ExpressionAttributeNames}
		return func(ctx context.Context) error { _, err := client.GetItem(ctx, i); return err }, nil
	case "BatchGetItem":
		i := &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{}}
		for table, keys := range in.RequestItems {
			k := types.KeysAndAttributes{ConsistentRead: keys.ConsistentRead, ProjectionExpression: keys.ProjectionExpression,
				ExpressionAttributeNames: keys.ExpressionAttributeNames}
			for _, key := range keys.Keys {
				k.Keys = append(k.Keys, key.typed())
			}
			i.RequestItems[table] = k
		}
		return func(ctx context.Context) error { _, err := client.BatchGetItem(ctx, i); return err }, nil
	case "Query":
		i := &dynamodb.QueryInput{TableName: in.TableName, KeyConditionExpression: in.KeyConditionExpression, ConsistentRead: in.ConsistentRead,
			ExpressionAttributeNames: in.ExpressionAttributeNames, ExpressionAttributeValues: in.ExpressionAttributeValues.typed()}
		return func(ctx context.Context) error { _, err := client.Query(ctx, i); return err }, nil
	case "PutItem":
		i := &dynamodb.PutItemInput{TableName: in.TableName, Item: in.Item.typed(), ConditionExpression: in.ConditionExpression,
			ExpressionAttributeNames: in.ExpressionAttributeNames, ExpressionAttributeValues: in.ExpressionAttributeValues.typed(),
			ReturnValuesOnConditionCheckFailure: in.ReturnValuesOnConditionCheckFailure}
		return func(ctx context.Context) error { _, err := client.PutItem(ctx, i); return err }, nil
	case "UpdateItem":
		i := &dynamodb.UpdateItemInput{TableName: in.TableName, Key: in.Key.typed(), UpdateExpression: in.UpdateExpression,
			ConditionExpression: in.ConditionExpression, ExpressionAttributeNames: in.ExpressionAttributeNames,
			ExpressionAttributeValues: in.ExpressionAttributeValues.typed(), ReturnValues: in.ReturnValues,
			ReturnValuesOnConditionCheckFailure: in.ReturnValuesOnConditionCheckFailure}
		return func(ctx context.Context) error { _, err := client.UpdateItem(ctx, i); return err }, nil
	}
	return nil, fmt.Errorf("no call has been a %s", target)
}

// together makes calls at the same time. A condition that failed is an answer: the function's call got it too.
func together(ctx context.Context, calls []func(context.Context) error) error {
	one := func(call func(context.Context) error) error {
		err := call(ctx)
		if _, failed := errors.AsType[*types.ConditionalCheckFailedException](err); failed {
			return nil
		}
		return err
	}
	if len(calls) == 1 {
		return one(calls[0])
	}
	var group errgroup.Group
	for _, c := range calls {
		group.Go(func() error { return one(c) })
	}
	return group.Wait()
}

func main() {
	config := aws.Config{
		Region: "local",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}
	if os.Getenv("KEEP_CONNECTIONS") != "" { // as the functions do
		config = awsconfig.New("local", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	}
	config.BaseEndpoint = aws.String(os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"))
	client := dynamodb.NewFromConfig(config)
	var given []struct {
		Target string
		Body   json.RawMessage
		Wave   int
	}
	if err := json.Unmarshal([]byte(os.Getenv("CALLS")), &given); err != nil {
		panic(err)
	}
	var waves [][]func(context.Context) error // each of calls that are made at the same time
	for _, g := range given {
		c, err := call(client, g.Target, g.Body)
		if err != nil {
			panic(err)
		}
		for len(waves) <= g.Wave {
			waves = append(waves, nil)
		}
		waves[g.Wave] = append(waves[g.Wave], c)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		for _, calls := range waves {
			if err := together(r.Context(), calls); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		w.WriteHeader(http.StatusOK)
	})
	lambda.Start(httpadapter.NewV2(mux).ProxyWithContext)
}
