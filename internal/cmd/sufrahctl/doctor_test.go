package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

// change replaces a text in the stack's definition.
type change struct{ from, to string }

// serve serves a local stack with empty tables, with a changed template.yaml.
func serve(t *testing.T, changes []change, options ...func(*devstack.Options)) *devstack.Server {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(filepath.Join(folder, "internal", "stack"), os.DirFS("../../stack")); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	template := string(content)
	for _, c := range changes {
		if !strings.Contains(template, c.from) {
			t.Fatalf("template.yaml has no %q", c.from)
		}
		template = strings.Replace(template, c.from, c.to, 1)
	}
	path := filepath.Join(folder, "template.yaml")
	if err := os.WriteFile(path, []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	parsed, err := sam.Load(path)
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	tables, err := devstack.Tables(parsed)
	if err != nil {
		t.Fatalf("reading the tables from the template: %v", err)
	}
	empty := func(o *devstack.Options) { o.Tables = dynamolocal.New(time.Now, tables...) }
	server, err := devstack.Serve(t.Context(), path, 0, io.Discard, append(options, empty)...)
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// examined runs sufrahctl doctor on a stack and returns its findings.
func examined(t *testing.T, server *devstack.Server) ([]finding, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), []string{
		"--stack", devstack.StackName, "--endpoint", server.BaseURL + devstack.DynamoDBPath, "--sqs-endpoint", server.BaseURL + devstack.SQSPath,
		"--json", "doctor", "--lambda-endpoint", server.BaseURL + devstack.LambdaPath,
	}, &out, io.Discard)
	var findings []finding
	if jsonErr := json.Unmarshal(out.Bytes(), &findings); jsonErr != nil {
		t.Fatalf("%v, %v: %s", err, jsonErr, &out)
	}
	return findings, err
}

func TestDoctorOfAHealthyStack(t *testing.T) {
	t.Parallel()
	findings, err := examined(t, serve(t, nil))
	if err != nil || len(findings) < 35 {
		t.Errorf("%d things were looked at, %v", len(findings), err)
	}
	for _, f := range findings {
		if f.Wrong != "" || f.Mend != "" {
			t.Errorf("%+v", f)
		}
	}
}

// refusal answers every call like an AWS endpoint that doesn't know the credentials.
func refusal(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Amzn-ErrorType", "UnrecognizedClientException")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"__type": "UnrecognizedClientException", "message": "The security token included in the request is invalid."}`)
}

// TestDoctorOutOfReach: if nothing can be looked up, the doctor reports a single fault with its cause, and doesn't advise to
// restore anything.
func TestDoctorOutOfReach(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	refusing := httptest.NewServer(http.HandlerFunc(refusal))
	t.Cleanup(refusing.Close)
	whole := serve(t, nil).BaseURL
	for name, test := range map[string]struct{ stack, dynamodb, sqs, lambda, says string }{
		"another stack's name": {"sufrah-prd", whole + devstack.DynamoDBPath, whole + devstack.SQSPath, whole + devstack.LambdaPath, "ResourceNotFoundException"},
		"nobody listens":       {devstack.StackName, closed.URL, closed.URL, closed.URL, "dial tcp " + strings.TrimPrefix(closed.URL, "http://") + ": connect: connection refused"},
		"credentials refused":  {devstack.StackName, refusing.URL, refusing.URL, refusing.URL, "UnrecognizedClientException"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := run(t.Context(), []string{
				"--stack", test.stack, "--endpoint", test.dynamodb, "--sqs-endpoint", test.sqs, "--json", "doctor", "--lambda-endpoint", test.lambda,
			}, &out, io.Discard)
			if !errors.Is(err, errUnwell) {
				t.Errorf("error %v", err)
			}
			var got []finding
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, &out)
			}
			want := []finding{{
				What: "stack " + test.stack, Wrong: `nothing of the stack "` + test.stack + `" is here, or it can't be reached: ` + test.says,
				Mend: "Check --stack, profile, region and network (on a local stack: the endpoints). Don't restore or deploy anything before that.",
			}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDoctorNamesMissingEndpoints: the doctor asks only for endpoints that weren't given.
func TestDoctorNamesMissingEndpoints(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", "")
	t.Setenv("AWS_ENDPOINT_URL_SQS", "")
	for flags, want := range map[string]string{
		"doctor": "--sqs-endpoint (AWS_ENDPOINT_URL_SQS) and --lambda-endpoint (AWS_ENDPOINT_URL_LAMBDA) are missing: ",
		"doctor --lambda-endpoint http://[::1]:1": "--sqs-endpoint (AWS_ENDPOINT_URL_SQS) is missing: ",
		"--sqs-endpoint http://[::1]:1 doctor":    "--lambda-endpoint (AWS_ENDPOINT_URL_LAMBDA) is missing: ",
	} {
		err := run(t.Context(), append([]string{"--stack", "any", "--endpoint", "http://[::1]:1"}, strings.Fields(flags)...), io.Discard, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", flags, err, want)
		}
	}
}

// TestDoctorWarnsOfEmptyUsage: restaurants without any usage give a warning, not a fault.
func TestDoctorWarnsOfEmptyUsage(t *testing.T) {
	t.Parallel()
	server := serve(t, nil)
	if err := run(t.Context(), []string{
		"--stack", devstack.StackName, "--endpoint", server.BaseURL + devstack.DynamoDBPath, "restaurant", "create", "r1", "--name", "One",
	}, io.Discard, io.Discard); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
	config, err := awsConfig(t.Context(), server.BaseURL+devstack.DynamoDBPath)
	if err != nil {
		t.Fatalf("making the AWS configuration: %v", err)
	}
	client := dynamodb.NewFromConfig(config)
	table := aws.String("sufrah-local-usage")
	ranks, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: table})
	if err != nil || len(ranks.Items) == 0 {
		t.Fatalf("creating the restaurant left no rank, %v", err)
	}
	if findings, err := examined(t, server); err != nil || slices.ContainsFunc(findings, func(f finding) bool { return f.Warning != "" }) {
		t.Errorf("with the rank: %+v, %v", findings, err)
	}
	for _, rank := range ranks.Items {
		key := map[string]types.AttributeValue{"restaurantId": rank["restaurantId"], "period": rank["period"]}
		if _, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: table, Key: key}); err != nil {
			t.Fatalf("deleting the rank: %v", err)
		}
	}
	findings, err := examined(t, server)
	if err != nil {
		t.Errorf("error %v", err)
	}
	warnings := map[string]string{}
	for _, f := range findings {
		if f.Warning != "" {
			warnings[f.What] = f.Warning
		}
	}
	if diff := cmp.Diff(map[string]string{"content of table sufrah-local-usage": "the table is empty, but there are restaurants"}, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func put(t *testing.T, server *devstack.Server, path, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.BaseURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v, %v", path, response, err)
	}
	_ = response.Body.Close()
}

// TestDoctorFindsWhatIsMissing injects each fault that the doctor can find. The doctor must name that fault only, with its
// remedy.
func TestDoctorFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	for name, test := range map[string]struct {
		changes []change
		options func(*devstack.Options)
		broken  func(t *testing.T, server *devstack.Server)
		what    []string // each part with a fault
		says    string   // the fault that the first part reports
		mend    string
	}{
		"a table was deleted": {
			broken: func(t *testing.T, server *devstack.Server) {
				config, err := awsConfig(t.Context(), server.BaseURL+devstack.DynamoDBPath)
				if err != nil {
					t.Fatalf("making the AWS configuration: %v", err)
				}
				if _, err := dynamodb.NewFromConfig(config).DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("sufrah-local-access-tokens")}); err != nil {
					t.Fatalf("deleting the tables: %v", err)
				}
			},
			what: []string{"table sufrah-local-access-tokens", "usage-api: table sufrah-local-access-tokens", "usage-admin: table sufrah-local-access-tokens"},
			says: "ResourceNotFoundException", mend: "Restoring tables",
		},
		"an index is missing": {
			changes: []change{{"IndexName: by-word", "IndexName: by-price"}},
			what:    []string{"index by-word of table sufrah-local-directory", "usage-api: index by-word of table sufrah-local-directory"}, says: "the index is missing", mend: "make deploy",
		},
		"nothing expires": {
			changes: []change{{"{ AttributeName: expiresAt, Enabled", "{ AttributeName: endsAt, Enabled"}},
			what:    []string{"expiry of table sufrah-local-conversations"}, says: "don't expire", mend: "update-time-to-live",
		},
		"DynamoDB fails": {
			broken: func(t *testing.T, server *devstack.Server) { put(t, server, "/sandbox/store", `{"failRate": 1}`) },
			what:   []string{"stack sufrah-local", "usage-api: table sufrah-local-usage", "process-message: table sufrah-local-conversations"}, says: "no table of it is here, or can be reached: ServiceUnavailable", mend: "Don't restore",
		},
		"the cache fails": {
			broken: func(t *testing.T, server *devstack.Server) { put(t, server, "/sandbox/cache", `{"failRate": 1}`) },
			what:   []string{"process-message: cache", "welcome-bootstrap: cache"}, says: "unavailable", mend: "describe-serverless-caches --serverless-cache-name sufrah-local-cache",
		},
		"the secret of Twilio is as it was made": {
			broken: func(t *testing.T, server *devstack.Server) { put(t, server, "/sandbox/secrets", `{"twilio": "{}"}`) },
			what:   []string{"process-message: secret of Twilio's tokens", "welcome-bootstrap: secret of Twilio's tokens"}, says: "no token", mend: "put-secret-value --secret-id sufrah-local/twilio",
		},
		"the secret of Sufrah is no JSON": {
			broken: func(t *testing.T, server *devstack.Server) { put(t, server, "/sandbox/secrets", `{"sufrah": "key"}`) },
			what:   []string{"process-message: secret of Sufrah's key", "welcome-bootstrap: secret of Sufrah's key"}, says: "not of the form", mend: "put-secret-value --secret-id sufrah-local/sufrah",
		},
		"a secret was deleted": {
			broken: func(t *testing.T, server *devstack.Server) { put(t, server, "/sandbox/secrets", `{"sufrah": null}`) },
			what:   []string{"process-message: secret of Sufrah's key", "welcome-bootstrap: secret of Sufrah's key"}, says: "ResourceNotFoundException",
		},
		"functions don't start": {
			broken: func(t *testing.T, server *devstack.Server) {
				changed, err := server.Definition.With("UsageTimeZone", "Mars/Olympus")
				if err != nil {
					t.Fatalf("changing a parameter of the template: %v", err)
				}
				server.Definition = changed
			},
			what: []string{"function sufrah-local-usage-admin", "function sufrah-local-usage-api", "function sufrah-local-process-message"},
			says: "USAGE_TIME_ZONE must be an IANA time zone", mend: "/aws/lambda/sufrah-local-usage-admin",
		},
		"another stack's functions": {
			broken: func(_ *testing.T, server *devstack.Server) { server.Name = "sufrah-gone" },
			what:   []string{"function sufrah-local-usage-api", "function sufrah-local-welcome-bootstrap"}, says: "ResourceNotFoundException", mend: "deploy the stack",
		},
		"functions count by different zones": {
			changes: []change{{"USAGE_TIME_ZONE: !Ref UsageTimeZone", "USAGE_TIME_ZONE: Asia/Riyadh"}},
			what:    []string{"time zone (several)"}, says: "Asia/Riyadh in usage-api", mend: "UsageTimeZone",
		},
		"no redrive": {
			changes: []change{{"      RedrivePolicy:\n        deadLetterTargetArn: !GetAtt BootstrapDeadLetterQueue.Arn\n        maxReceiveCount: !Ref QueueRetryAttempts", "#"}},
			what:    []string{"redrive policy of queue sufrah-local-bootstrap"}, says: "there is no redrive policy", mend: "make deploy",
		},
		"a short visibility time-out": {
			changes: []change{{"VisibilityTimeout: 360", "VisibilityTimeout: 90"}},
			what:    []string{"visibility time-out of queue sufrah-local-bootstrap"}, says: `it is "90" seconds, want 360`, mend: "make deploy",
		},
		"the webhook leads elsewhere": {
			options: func(o *devstack.Options) { o.WebhookURL = elsewhere.URL + "/webhooks/whatsapp" },
			what:    []string{"webhook " + elsewhere.URL + "/webhooks/whatsapp"}, says: "another server answers at this address, with status 404", mend: "WebhookUrl",
		},
		"nobody is at the webhook": {
			options: func(o *devstack.Options) { o.WebhookURL = "http://localhost:1/webhooks/whatsapp" },
			what:    []string{"webhook http://localhost:1/webhooks/whatsapp"}, says: "no answer", mend: "Twilio",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := []func(*devstack.Options){}
			if test.options != nil {
				options = append(options, test.options)
			}
			server := serve(t, test.changes, options...)
			if test.broken != nil {
				test.broken(t, server)
			}
			findings, err := examined(t, server)
			if !errors.Is(err, errUnwell) {
				t.Errorf("error %v", err)
			}
			wrong := map[string]finding{}
			for _, f := range findings {
				if f.Wrong != "" {
					wrong[f.What] = f
				}
			}
			for _, what := range test.what {
				if wrong[what].Wrong == "" || wrong[what].Mend == "" {
					t.Errorf("%s isn't found; found were %+v", what, wrong)
				}
			}
			if first := wrong[test.what[0]]; !strings.Contains(first.Wrong, test.says) || !strings.Contains(first.Mend, test.mend) {
				t.Errorf("%+v", first)
			}
		})
	}
}
