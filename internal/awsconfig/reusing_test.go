package awsconfig

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// doer is a function that is an HTTP client.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// TestBodiesEndAsTheyShould: after the SDK has closed a request's body, every way of reading it gives an end of file, so that
// the transport has no reason to give the connection up.
func TestBodiesEndAsTheyShould(t *testing.T) {
	t.Parallel()
	var body io.ReadCloser
	var sent string
	config := New("local", aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"})
	config.HTTPClient = reusing{doer(func(r *http.Request) (*http.Response, error) {
		body = r.Body
		read, err := io.ReadAll(io.LimitReader(body, r.ContentLength))
		sent = string(read)
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, err
	})}
	if _, err := dynamodb.NewFromConfig(config).ListTables(context.Background(), &dynamodb.ListTablesInput{}); err != nil {
		t.Fatalf("listing the tables: %v", err)
	}
	if n, err := io.Copy(io.Discard, body); n != 0 || err != nil || sent != "{}" {
		t.Errorf("%q was sent; the rest has %d bytes and ends with %v, want none", sent, n, err)
	}
}

// TestRequestsWithoutABody: a request without a body stays without one.
func TestRequestsWithoutABody(t *testing.T) {
	t.Parallel()
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		_, _ = reusing{doer(func(r *http.Request) (*http.Response, error) {
			if r.Body != body {
				t.Errorf("the body is %T, want %T", r.Body, body)
			}
			return nil, io.EOF
		})}.Do(&http.Request{Body: body})
	}
}
