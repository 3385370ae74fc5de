package valkey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// tokenLifetime is the longest that ElastiCache takes a token for. It is looked at only when a connection is made, and
// each connection gets a token of its own.
const tokenLifetime = 15 * time.Minute

// IAM makes the passwords of an ElastiCache user with the authentication mode IAM.
type IAM struct {
	Credentials aws.CredentialsProvider // of the role that may elasticache:Connect
	Region      string
	CacheName   string // of the serverless cache or the replication group, not its endpoint
	UserID      string // also the name that the user connects with
	Serverless  bool
	Now         func() time.Time
}

// Token returns a password that is good for 15 minutes: a signed request to connect, as a URL without its scheme.
func (i IAM) Token(ctx context.Context) (string, error) {
	credentials, err := i.Credentials.Retrieve(ctx)
	if err != nil {
		return "", fmt.Errorf("credentials for the cache: %w", err)
	}
	query := url.Values{
		"Action":        {"connect"},
		"User":          {i.UserID},
		"X-Amz-Expires": {strconv.Itoa(int(tokenLifetime / time.Second))},
	}
	if i.Serverless {
		query.Set("ResourceType", "ServerlessCache")
	}
	// ElastiCache keeps names in lower case, and the name stands in for the host, which is signed.
	address := url.URL{Scheme: "http", Host: strings.ToLower(i.CacheName), Path: "/", RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return "", fmt.Errorf("token for the cache %q: %w", i.CacheName, err)
	}
	noBody := sha256.Sum256(nil)
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, credentials, request, hex.EncodeToString(noBody[:]),
		"elasticache", i.Region, i.Now())
	if err != nil {
		return "", fmt.Errorf("signing the token for the cache: %w", err)
	}
	return strings.TrimPrefix(signed, "http://"), nil
}
