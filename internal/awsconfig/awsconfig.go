// Package awsconfig builds the SDK's configuration in a Lambda function.
//
// Lambda puts the region and the credentials into the environment. Taking them from there, instead of linking the SDK's own
// config package with its profiles, SSO and instance metadata, saves some 2 ms of every cold start.
package awsconfig

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	// Three attempts within some 300 ms: a throttled or failing table is then reported while the caller, with retries of its
	// own, still waits.
	attempts   = 3
	maxBackoff = 150 * time.Millisecond
	// A connection that can't be had in a second won't be had: inside one region a handshake takes milliseconds.
	dialTimeout = time.Second
	// A stalled answer leaves time for the other attempts within an invocation.
	answerTimeout = 2 * time.Second
)

// New returns the configuration for a region and fixed credentials.
func New(region string, credentials aws.Credentials) aws.Config {
	return aws.Config{
		Region: region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return credentials, nil
		}),
		HTTPClient: reusing{awshttp.NewBuildableClient().
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
			WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = answerTimeout })},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = attempts
				o.MaxBackoff = maxBackoff
				// The SDK's quota of retries refills only by successes: an instance that has been through an outage would
				// go without retries long after it. The attempts are bounded, and so is the caller's time.
				o.RateLimiter = ratelimit.None
			})
		},
	}
}

// reusing is an HTTP client that keeps connections which the SDK would lose.
//
// The SDK closes a request's body as soon as it has the answer. Its bodies are io.WriterTo, which then fail with io.EOF in place
// of writing nothing. Where the answer overtakes the transport's last look for more of the body, the transport takes that for a
// failed request and gives the connection up: of calls to a near and fast service every fifth dialed anew. A body that can only
// be read ends as it should.
type reusing struct{ client aws.HTTPClient }

// Do implements aws.HTTPClient.
func (c reusing) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.client.Do(r)
}
