package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/sufrah/usage-bootstrap/internal/outage"
)

// translate turns an error of the SDK into one of the domain.
func translate(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case passes(err):
		return fmt.Errorf("%s: %w: %w", doing, outage.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// passes reports whether the same request may succeed later: it was throttled, SQS or the network failed, or time ran out.
func passes(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	if ok && response.HTTPStatusCode() >= http.StatusInternalServerError {
		return true
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return true // no answer at all, or none that could be read
	}
	_, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	return throttled || api.ErrorFault() == smithy.FaultServer
}
