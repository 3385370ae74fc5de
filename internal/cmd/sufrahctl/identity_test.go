package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// callerOf answers like STS to the caller with an ARN.
type callerOf string

func (c callerOf) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	if c == "" {
		return nil, errors.New("ExpiredToken")
	}
	arn := string(c)
	return &sts.GetCallerIdentityOutput{Arn: &arn}, nil
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for arn, want := range map[callerOf]string{
		"arn:aws:iam::123456789012:user/operators/sara":                                     "sara",
		"arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0a1b/sara@example.com": "sara@example.com",
		"arn:aws:iam::123456789012:root":                                                    "root",
	} {
		if got, err := identity(t.Context(), arn); got != want || err != nil {
			t.Errorf("%s is %q, error %v, want %q", arn, got, err, want)
		}
	}
	if got, err := identity(t.Context(), callerOf("")); err == nil {
		t.Errorf("nobody is %q", got)
	}
}

// TestNoRegionOrCredentials: without a region or credentials, the command names the missing one and calls nothing.
func TestNoRegionOrCredentials(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
		"AWS_ENDPOINT_URL_DYNAMODB": "", "AWS_ENDPOINT_URL_SQS": "",
	} {
		t.Setenv(name, value)
	}
	for _, step := range []struct{ region, want string }{{"", "no AWS region"}, {"me-south-1", "no AWS credentials"}} {
		t.Setenv("AWS_REGION", step.region)
		err := run(t.Context(), []string{"--stack", "sufrah-prod", "restaurant", "list"}, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), step.want) {
			t.Errorf("region %q: error %v, want %q", step.region, err, step.want)
		}
	}
}
