package engines

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

func newConfig(transport http.RoundTripper) aws.Config {
	return aws.Config{
		Region: "local", BaseEndpoint: aws.String("http://engine.local"), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
}

func load(t *testing.T) *sam.Definition {
	t.Helper()
	loaded, err := sam.Load("../../../template.yaml")
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	return loaded
}

func TestCreateTables(t *testing.T) {
	t.Parallel()
	tables, err := load(t).Tables("test")
	if err != nil {
		t.Fatalf("reading the tables from the template: %v", err)
	}
	tables = append(tables, sam.Table{
		Name: "indexed", PartitionKey: sam.Key{Name: "p", Type: "S"}, SortKey: sam.Key{Name: "s", Type: "N"},
		Indexes: []sam.Index{{
			Name: "bySort", PartitionKey: sam.Key{Name: "s", Type: "N"}, SortKey: sam.Key{Name: "q", Type: "B"},
			Projection: "INCLUDE", NonKeyAttributes: []string{"a"},
		}},
	})
	client := dynamodb.NewFromConfig(newConfig(dynamolocal.New(time.Now).Transport()))
	if err := CreateTables(t.Context(), client, tables); err != nil {
		t.Fatalf("creating the tables: %v", err)
	}
	for _, want := range tables {
		if got := describe(t, client, want); !cmp.Equal(want, got) {
			t.Errorf("table (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
	if err := CreateTables(t.Context(), client, tables[:1]); err == nil {
		t.Error("a table was created twice")
	}
	if err := DeleteTables(t.Context(), client, tables); err != nil {
		t.Fatalf("deleting the tables: %v", err)
	}
	if left, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil || len(left.TableNames) > 0 {
		t.Errorf("tables %v are left, error %v", left.TableNames, err)
	}
}

// describe returns a table's definition as the engine has it.
func describe(t *testing.T, client *dynamodb.Client, want sam.Table) sam.Table {
	t.Helper()
	output, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &want.Name})
	if err != nil {
		t.Fatalf("describing the table: %v", err)
	}
	expiry, err := client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &want.Name})
	if err != nil {
		t.Fatalf("reading the table's time to live: %v", err)
	}
	keyTypes := make(map[string]string)
	for _, definition := range output.Table.AttributeDefinitions {
		keyTypes[*definition.AttributeName] = string(definition.AttributeType)
	}
	got := sam.Table{LogicalID: want.LogicalID, Name: *output.Table.TableName}
	keys := []*sam.Key{&got.PartitionKey, &got.SortKey}
	for i, element := range output.Table.KeySchema {
		*keys[i] = sam.Key{Name: *element.AttributeName, Type: keyTypes[*element.AttributeName]}
	}
	if name := expiry.TimeToLiveDescription.AttributeName; name != nil {
		got.TimeToLive = *name
	}
	for _, index := range output.Table.GlobalSecondaryIndexes {
		read := sam.Index{
			Name: *index.IndexName, Projection: string(index.Projection.ProjectionType),
			NonKeyAttributes: index.Projection.NonKeyAttributes,
		}
		keys := []*sam.Key{&read.PartitionKey, &read.SortKey}
		for i, element := range index.KeySchema {
			*keys[i] = sam.Key{Name: *element.AttributeName, Type: keyTypes[*element.AttributeName]}
		}
		got.Indexes = append(got.Indexes, read)
	}
	return got
}

func TestCreateQueues(t *testing.T) {
	t.Parallel()
	queues, err := load(t).Queues("test")
	if err != nil {
		t.Fatalf("reading the queues from the template: %v", err)
	}
	client := sqs.NewFromConfig(newConfig(sqslocal.New(time.Now).Transport()))
	urls, err := CreateQueues(t.Context(), client, queues)
	if err != nil {
		t.Fatalf("creating the queues: %v", err)
	}
	for _, want := range queues {
		url := urls[want.Name]
		output, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: &url, AttributeNames: []types.QueueAttributeName{"All"},
		})
		if err != nil {
			t.Fatalf("reading the queue's attributes: %v", err)
		}
		var redrive struct {
			DeadLetterTargetARN string `json:"deadLetterTargetArn"`
			MaxReceiveCount     int    `json:"maxReceiveCount"`
		}
		if policy := output.Attributes["RedrivePolicy"]; policy != "" {
			if err := json.Unmarshal([]byte(policy), &redrive); err != nil {
				t.Fatalf("decoding %.500s: %v", policy, err)
			}
		}
		got := sam.Queue{
			LogicalID: want.LogicalID, Name: url[strings.LastIndex(url, "/")+1:],
			VisibilityTimeout: readSeconds(t, output.Attributes["VisibilityTimeout"]),
			Delay:             readSeconds(t, output.Attributes["DelaySeconds"]),
			RetentionPeriod:   readSeconds(t, output.Attributes["MessageRetentionPeriod"]),
			DeadLetterQueue:   redrive.DeadLetterTargetARN[strings.LastIndex(redrive.DeadLetterTargetARN, ":")+1:],
			MaxReceiveCount:   redrive.MaxReceiveCount,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("queue (-want +got):\n%s", diff)
		}
	}
}

func readSeconds(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text + "s")
	if err != nil {
		t.Fatalf("reading the time of the test's case: %v", err)
	}
	return d
}
