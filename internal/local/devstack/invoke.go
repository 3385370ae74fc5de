package devstack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageadmin"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
)

// LambdaPath is the address at which functions can be invoked directly, as by Lambda's API (operation Invoke, synchronous).
const LambdaPath = "/sandbox/lambda"

// maxInvocation is Lambda's limit for a payload.
const maxInvocation = 6 << 20

// invoke answers Lambda's operation Invoke. A version or alias in the name is ignored: there is only one version.
func (s *Stack) invoke(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	name, _, _ := strings.Cut(r.PathValue("name"), ":")
	handle, ok := s.direct()[strings.TrimPrefix(name, s.Name+"-")]
	if !ok || !strings.HasPrefix(name, s.Name+"-") {
		w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException:http://internal.amazon.com/coral/com.amazonaws.awsgirapi/")
		writeJSON(w, http.StatusNotFound, map[string]string{"Type": "User", "Message": "Function not found: " + name})
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInvocation))
	if err != nil {
		writeJSON(w, http.StatusRequestEntityTooLarge, map[string]string{"Type": "User", "Message": err.Error()})
		return
	}
	answer, err := handle(r.Context(), payload)
	if err != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		answer, _ = json.Marshal(map[string]string{"errorType": "Runtime.ExitError", "errorMessage": err.Error()})
	}
	_, _ = w.Write(answer) // fails only if the caller has gone
}

// direct returns a func for each function that invokes it: in its own processes, or in this process with a newly built
// handler, so that a failing start shows.
func (s *Stack) direct() map[string]func(context.Context, []byte) ([]byte, error) {
	invocations := map[string]func(context.Context, []byte) ([]byte, error){
		usageapi.Name:         once(s, usageapi.Name, usageapi.New, usageapi.Health),
		usageadmin.Name:       once(s, usageadmin.Name, usageadmin.New, usageadmin.Health),
		processmessage.Name:   once(s, processmessage.Name, processmessage.New, processmessage.Health),
		welcomebootstrap.Name: once(s, welcomebootstrap.Name, welcomebootstrap.New, welcomebootstrap.Health),
	}
	for name, pool := range s.pools {
		invocations[name] = func(ctx context.Context, payload []byte) ([]byte, error) {
			result, err := pool.Invoke(ctx, payload)
			if err == nil && result.FunctionError != "" {
				err = fmt.Errorf("%s: %s", result.FunctionError, result.Payload)
			}
			return result.Payload, err
		}
	}
	return invocations
}

// once returns a func that builds a function in this process and invokes it with an event.
func once[H any](s *Stack, name string, build function.Build[H], check function.Health) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		environ, err := s.FunctionEnvironment(name)
		if err != nil {
			return nil, err
		}
		var handler lambda.Handler
		if handler, err = function.Handler(build, check, environ, s.Clock.Now, s.Log); err != nil {
			return nil, err
		}
		return handler.Invoke(ctx, payload)
	}
}
