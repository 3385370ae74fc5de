package awsconfig

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// Transient reports whether a call that failed may succeed later: it was throttled, the service or the network failed, or
// time ran out.
func Transient(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	if ok && response.HTTPStatusCode() >= http.StatusInternalServerError {
		return true
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return true // no answer, or an unreadable one
	}
	_, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	return throttled || api.ErrorFault() == smithy.FaultServer
}
