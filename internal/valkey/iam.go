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

// tokenLifetime is the longest validity that ElastiCache accepts. A token is checked only when a connection is made, and each
// connection gets its own.
const tokenLifetime = 15 * time.Minute

// IAM makes the passwords of an ElastiCache user in the authentication mode IAM.
type IAM struct {
	Credentials aws.CredentialsProvider // of a role with the permission elasticache:Connect
	Region      string
	CacheName   string // name of the serverless cache or the replication group, not its endpoint
	UserID      string // also the user's name for connecting
	Serverless  bool
	Now         func() time.Time
}

// Token returns a password that is valid for 15 minutes: a signed request to connect, as a URL without its scheme.
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
	// The cache's name takes the place of the host, which is signed. ElastiCache keeps names in lower case.
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
