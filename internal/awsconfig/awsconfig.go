// Package awsconfig builds the SDK's configuration in a Lambda function.
//
// Lambda puts the region and the credentials into the environment. The SDK's own config package is not linked: without its
// profiles, SSO and instance metadata, every cold start is some 2 ms shorter.
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
	// Three attempts take some 300 ms, so that a caller with retries of its own hears of a throttled or failing table while
	// it still waits.
	attempts   = 3
	maxBackoff = 150 * time.Millisecond
	// A connection that takes longer than a second won't come at all: inside a region, a handshake takes milliseconds.
	dialTimeout = time.Second
	// After a stalled answer, an invocation still has time for the other attempts.
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
				// Only successes refill the SDK's quota of retries, so that an instance would go without retries long after
				// an outage. The number of attempts and the caller's time are bounds enough.
				o.RateLimiter = ratelimit.None
			})
		},
	}
}

// reusing is an HTTP client that keeps connections which the SDK would lose.
//
// The SDK closes a request's body as soon as it has the answer. Its bodies are io.WriterTo, and once closed they fail with
// io.EOF in place of writing nothing. If the answer arrives before the transport has looked for the end of the body, the
// transport takes that error for a failed request and gives the connection up. With a close and fast service, every fifth
// call dialed anew. A body that can only be read ends without an error.
type reusing struct{ client aws.HTTPClient }

// Do implements aws.HTTPClient.
func (c reusing) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.client.Do(r)
}
