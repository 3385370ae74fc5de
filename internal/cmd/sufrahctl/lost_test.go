package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

// TestLostTable deletes the usage table of a stack in use. It restores it as DynamoDB restores a backup: with the items of
// the last moment, and with its indexes. The manual's checks first report the missing table, and then that everything is
// there.
func TestLostTable(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	ctl := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{
			"--stack", devstack.StackName, "--endpoint", server.BaseURL + devstack.DynamoDBPath, "--sqs-endpoint", server.BaseURL + devstack.SQSPath,
		}, args...), &out, io.Discard)
		return out.String(), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := ctl(args...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	must("restaurant", "create", "r1", "--name", "One", "--phone", "+966110000001", "--per-day", "10")
	must("restaurant", "create", "r2", "--name", "Two", "--phone", "+966110000002", "--per-day", "10")
	must("usage", "top-up", "r1", "--amount", "7", "--key", "a")
	must("usage", "top-up", "r2", "--amount", "9", "--key", "b")
	exported := func() string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "usage.jsonl")
		must("export", "usage", path)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	months := exported()

	const table = "sufrah-local-usage"
	config, err := awsConfig(t.Context(), server.BaseURL+devstack.DynamoDBPath)
	if err != nil {
		t.Fatalf("making the AWS configuration: %v", err)
	}
	client := dynamodb.NewFromConfig(config)
	described, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(table)})
	if err != nil {
		t.Fatalf("describing the table: %v", err)
	}
	backup, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(table)})
	if err != nil || len(backup.Items) == 0 {
		t.Fatalf("%d items, %v", len(backup.Items), err)
	}
	if _, err := client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String(table)}); err != nil {
		t.Fatalf("deleting the tables: %v", err)
	}
	wrong := func() (what []string) {
		findings, _ := examined(t, server)
		for _, f := range findings {
			if f.Wrong != "" {
				what = append(what, f.What)
			}
		}
		return what
	}
	if found := wrong(); len(found) < 4 || found[0] != "table "+table {
		t.Errorf("the doctor finds %q", found)
	}

	create := &dynamodb.CreateTableInput{
		TableName: aws.String(table), BillingMode: types.BillingModePayPerRequest,
		KeySchema: described.Table.KeySchema, AttributeDefinitions: described.Table.AttributeDefinitions,
	}
	for _, index := range described.Table.GlobalSecondaryIndexes {
		create.GlobalSecondaryIndexes = append(create.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: index.IndexName, KeySchema: index.KeySchema, Projection: index.Projection,
		})
	}
	if _, err := client.CreateTable(t.Context(), create); err != nil {
		t.Fatalf("creating the tables: %v", err)
	}
	for _, item := range backup.Items {
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: item}); err != nil {
			t.Fatalf("putting the item: %v", err)
		}
	}
	if found := wrong(); len(found) > 0 {
		t.Errorf("the doctor finds %q", found)
	}
	must("directory", "rebuild", "--check")
	must("usage", "reindex")
	if after := exported(); after != months || strings.Count(months, "\n") != 2 {
		t.Errorf("months after: %s, before: %s", after, months)
	}
	if out := must("usage", "top-up", "r1", "--amount", "7", "--key", "a"); !strings.Contains(out, "7") || strings.Contains(out, "14") {
		t.Errorf("a repeat of a top-up from before: %s", out)
	}
}
