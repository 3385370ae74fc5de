package awsconfig_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
)

// answer answers like DynamoDB: a JSON body with its checksum.
func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 10))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// client returns a real client with the configuration under test, and handler as its server.
func client(t *testing.T, handler http.HandlerFunc) *dynamodb.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config := awsconfig.New("eu-central-1", aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "s3cr3t", SessionToken: "session"})
	config.BaseEndpoint = &server.URL
	return dynamodb.NewFromConfig(config)
}

func TestRequestsAreSignedForTheEndpoint(t *testing.T) {
	t.Parallel()
	requests := make(chan http.Header, 1)
	dynamo := client(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Header.Clone()
		answer(w, http.StatusOK, `{"TableNames":["t-usage"]}`)
	})
	tables, err := dynamo.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil {
		t.Fatalf("listing the tables: %v", err)
	}
	if diff := cmp.Diff([]string{"t-usage"}, tables.TableNames); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	header := <-requests
	if got := header.Get("X-Amz-Security-Token"); got != "session" {
		t.Errorf("session token is %q", got)
	}
	authorization := header.Get("Authorization")
	if !strings.Contains(authorization, "Credential=AKIDEXAMPLE/") ||
		!strings.Contains(authorization, "/eu-central-1/dynamodb/aws4_request") {
		t.Errorf("authorization is %q", authorization)
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status   int
		code     string
		attempts int64
	}{
		"down":         {http.StatusInternalServerError, "InternalServerError", 3},
		"unavailable":  {http.StatusServiceUnavailable, "ServiceUnavailable", 3},
		"throttled":    {http.StatusBadRequest, "ThrottlingException", 3},
		"table is hot": {http.StatusBadRequest, "ProvisionedThroughputExceededException", 3},
		"not valid":    {http.StatusBadRequest, "ValidationException", 1},
		"not allowed":  {http.StatusBadRequest, "AccessDeniedException", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var attempts atomic.Int64
			dynamo := client(t, func(w http.ResponseWriter, _ *http.Request) {
				attempts.Add(1)
				answer(w, test.status, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"no"}`, test.code))
			})
			begin := time.Now()
			_, err := dynamo.ListTables(t.Context(), &dynamodb.ListTablesInput{})
			if fault := smithy.APIError(nil); !errors.As(err, &fault) || fault.ErrorCode() != test.code {
				t.Errorf("error is %v, want %s", err, test.code)
			}
			if got := attempts.Load(); got != test.attempts {
				t.Errorf("%d attempts, want %d", got, test.attempts)
			}
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("gave up after %s only", took)
			}
		})
	}
}

func TestATransientFailureIsNotSeen(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int64
	dynamo := client(t, func(w http.ResponseWriter, _ *http.Request) {
		if attempts.Add(1) < 3 {
			answer(w, http.StatusInternalServerError, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}`)
			return
		}
		answer(w, http.StatusOK, `{"TableNames":[]}`)
	})
	if _, err := dynamo.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
		t.Errorf("after %d attempts: %v", attempts.Load(), err)
	}
}

// TestAnOutageCostsNoLaterRetries: after an outage, an instance retries like a new one.
func TestAnOutageCostsNoLaterRetries(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	var attempts atomic.Int64
	dynamo := client(t, func(w http.ResponseWriter, _ *http.Request) {
		if n := attempts.Add(1); down.Load() || n%3 != 0 {
			answer(w, http.StatusInternalServerError, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}`)
			return
		}
		answer(w, http.StatusOK, `{"TableNames":[]}`)
	})
	down.Store(true)
	const calls = 150 // they take 300 retries, three times the SDK's quota
	var group sync.WaitGroup
	for range calls {
		group.Go(func() {
			if _, err := dynamo.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err == nil {
				t.Error("a call succeeded in the outage")
			}
		})
	}
	group.Wait()
	if got := attempts.Swap(0); got != 3*calls {
		t.Errorf("%d attempts in the outage, want %d", got, 3*calls)
	}
	down.Store(false)
	for range 5 { // each succeeds at its third attempt
		if _, err := dynamo.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	}
}

// Each client has its own retries, so that a failing table doesn't use up another client's.
func TestClientsDoNotShareRetries(t *testing.T) {
	t.Parallel()
	config := awsconfig.New("eu-central-1", aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "s3cr3t"})
	if one, other := config.Retryer(), config.Retryer(); one == other {
		t.Error("two clients share a retryer")
	}
}
