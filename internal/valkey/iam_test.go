package valkey

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// signedByHand makes the token step by step, as AWS describes Signature Version 4.
func signedByHand(parameters map[string]string, host, secret string) string {
	var pairs []string
	for name, value := range parameters {
		pairs = append(pairs, name+"="+strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
	}
	slices.Sort(pairs)
	query := strings.Join(pairs, "&")
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	canonical := strings.Join([]string{"GET", "/", query, "host:" + host, "", "host", hash("")}, "\n")
	_, scope, _ := strings.Cut(parameters["X-Amz-Credential"], "/")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", parameters["X-Amz-Date"], scope, hash(canonical)}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range append(strings.Split(scope, "/"), toSign) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return host + "/?" + query + "&X-Amz-Signature=" + hex.EncodeToString(key)
}

func TestIAMToken(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 18, 30, 5, 0, time.FixedZone("", 3*60*60))
	tests := map[string]struct {
		iam          IAM
		sessionToken string
		want         map[string]string // in addition to the parameters of every token
		host         string
	}{
		"a replication group": {IAM{CacheName: "menu-cache"}, "", nil, "menu-cache"},
		"a serverless cache": {
			IAM{CacheName: "menu-cache", Serverless: true}, "",
			map[string]string{"ResourceType": "ServerlessCache"}, "menu-cache",
		},
		"a role's session": {
			IAM{CacheName: "Menu-Cache", Serverless: true}, "a+b/c==",
			map[string]string{"ResourceType": "ServerlessCache", "X-Amz-Security-Token": "a+b/c=="}, "menu-cache",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
			test.iam.Region, test.iam.UserID = "me-south-1", "bootstrap-user"
			test.iam.Now = func() time.Time { return at }
			test.iam.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: secret, SessionToken: test.sessionToken}, nil
			})
			parameters := map[string]string{
				"Action": "connect", "User": "bootstrap-user",
				"X-Amz-Algorithm":     "AWS4-HMAC-SHA256",
				"X-Amz-Credential":    "AKIDEXAMPLE/20261123/me-south-1/elasticache/aws4_request",
				"X-Amz-Date":          "20261123T153005Z",
				"X-Amz-Expires":       "900",
				"X-Amz-SignedHeaders": "host",
			}
			for name, value := range test.want {
				parameters[name] = value
			}
			got, err := test.iam.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want := signedByHand(parameters, test.host, secret); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestIAMTokenWithoutCredentials(t *testing.T) {
	t.Parallel()
	refused := errors.New("no role")
	iam := IAM{Now: time.Now, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, refused
	})}
	if token, err := iam.Token(t.Context()); token != "" || !errors.Is(err, refused) {
		t.Errorf("Token = %q, %v", token, err)
	}
}
