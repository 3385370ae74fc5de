package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/apigateway"
	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/demo"
	"github.com/sufrah/usage-bootstrap/internal/dynamo"
	"github.com/sufrah/usage-bootstrap/internal/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/template"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Paths that a stack serves besides those of its API Gateway. No deployed function has them.
const (
	HealthPath   = "/healthz"
	DynamoDBPath = "/sandbox/dynamodb"
)

// Stack is the deployed system on one machine: its functions behind their API Gateway routes, over stand-ins that speak
// the protocols of what they stand in for. It is an http.Handler that serves all of it.
type Stack struct {
	Options
	DynamoDB *dynamolocal.Engine

	mux     *http.ServeMux // the stack's own paths
	gateway *apigateway.Gateway
	store   *sandbox.Fault // how DynamoDB behaves
}

// Options say where and when a stack is.
type Options struct {
	Template *template.Template
	// BaseURL is where the stack will be served. Its functions reach their stand-ins there.
	BaseURL string
	Clock   *Clock
	// Log receives the functions' log lines.
	Log io.Writer
}

// New returns a stack with the demo data.
func New(ctx context.Context, o Options) (*Stack, error) {
	tables, err := Tables(o.Template)
	if err != nil {
		return nil, err
	}
	s := &Stack{
		Options:  o,
		DynamoDB: dynamolocal.New(o.Clock.Now, tables...),
		mux:      http.NewServeMux(),
		gateway: apigateway.New(apigateway.Options{
			Now: o.Clock.Now, Logger: logging.New(o.Log, slog.LevelInfo, "api-gateway"),
		}),
		store: sandbox.NewFault(rand.Float64, writeDynamoDBFailure),
	}
	if err := s.addUsageAPI(); err != nil {
		return nil, err
	}
	s.mux.Handle(DynamoDBPath, s.store.Wrap(s.DynamoDB))
	s.mux.Handle("/sandbox/store", s.store)
	s.mux.Handle("/sandbox/clock", o.Clock)
	s.mux.HandleFunc(HealthPath, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	if err := s.loadDemo(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP serves the API's routes as API Gateway does, and the stack's own paths.
func (s *Stack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == HealthPath || strings.HasPrefix(r.URL.Path, "/sandbox/") {
		s.mux.ServeHTTP(w, r)
		return
	}
	s.gateway.ServeHTTP(w, r) // not through the mux, which would redirect paths that API Gateway passes on
}

// FunctionEnvironment returns the variables, as "NAME=value", with which the compiled function of the given directory
// under functions runs against this stack.
func (s *Stack) FunctionEnvironment(function string) ([]string, error) {
	variables, err := s.Template.FunctionEnvironment(logicalID(function), StackName)
	if err != nil {
		return nil, err
	}
	environment := []string{
		"AWS_REGION=local", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_ENDPOINT_URL_DYNAMODB=" + s.BaseURL + DynamoDBPath,
	}
	for name, value := range variables {
		environment = append(environment, name+"="+value)
	}
	return environment, nil
}

// logicalID returns how the template calls a function: "usage-api" is "UsageApiFunction".
func logicalID(function string) string {
	var id strings.Builder
	for word := range strings.SplitSeq(function, "-") {
		if word != "" {
			id.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return id.String() + "Function"
}

// loadDemo fills the tables in process: their address isn't served yet.
func (s *Stack) loadDemo(ctx context.Context) error {
	local := awsConfig()
	local.BaseEndpoint = aws.String("http://" + StackName)
	local.HTTPClient = &http.Client{Transport: s.DynamoDB.Transport()}
	store := dynamo.New(dynamodb.NewFromConfig(local), dynamo.StackTables(StackName), rand.Float64)
	return demo.Load(ctx, store, usage.NewCalendar(nil), s.Clock.Now())
}

// awsConfig returns the SDK's configuration for stand-ins, which check neither region nor credentials.
func awsConfig() aws.Config {
	return awsconfig.New("local", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
}

// addUsageAPI puts usage-api behind its routes.
func (s *Stack) addUsageAPI() error {
	lookup, err := s.lookup(usageapi.Name)
	if err != nil {
		return err
	}
	handler, err := usageapi.New(lookup, s.Clock.Now, s.Log)
	if err != nil {
		return err
	}
	return s.gateway.Handle("$default", handler)
}

// lookup returns the environment of a function as its config reads it.
func (s *Stack) lookup(function string) (config.Lookup, error) {
	environment, err := s.FunctionEnvironment(function)
	if err != nil {
		return nil, err
	}
	return func(name string) (string, bool) {
		for _, variable := range environment {
			if value, ok := strings.CutPrefix(variable, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}, nil
}

// writeDynamoDBFailure answers as DynamoDB does when it fails.
func writeDynamoDBFailure(w http.ResponseWriter, status int) {
	code := "InternalServerError"
	switch {
	case status == http.StatusServiceUnavailable:
		code = "ServiceUnavailable"
	case status < http.StatusInternalServerError: // DynamoDB throttles with 400
		code = "ThrottlingException"
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"the sandbox was told to fail"}`, code)
}
