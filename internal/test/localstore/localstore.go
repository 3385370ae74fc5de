// Package localstore gives tests a stack's store on DynamoDB's stand-in: the code that runs on AWS, with the tables of
// template.yaml. Nothing need be started, and tests share nothing.
package localstore

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
)

// StackName is the stack with the tables of an Engine.
const StackName = "sufrah-test"

// tables reads the template once for all tests of a package, because that takes longer than most tests.
var tables = sync.OnceValues(func() ([]dynamolocal.Table, error) {
	path, err := template()
	if err != nil {
		return nil, err
	}
	parsed, err := sam.Load(path)
	if err != nil {
		return nil, err
	}
	defined, err := parsed.Tables(StackName)
	return sam.StandIns(defined), err
})

// template returns the path of template.yaml, which is next to go.mod, above the package under test.
func template() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "template.yaml")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no template.yaml in or above %s", start)
		}
	}
}

// T is the part of a test, or of a property test, that this package uses.
type T interface {
	Helper()
	Fatal(args ...any)
}

// NewEngine returns an empty engine with the template's tables.
func NewEngine(t T) *dynamolocal.Engine {
	t.Helper()
	defined, err := tables()
	if err != nil {
		t.Fatal("reading the tables from the template:", err)
	}
	return dynamolocal.New(time.Now, defined...)
}

// Over returns a store that sends its requests through transport, such as an engine's or a wrapper of it.
func Over(transport http.RoundTripper) *stackstore.Store {
	// An existing region of AWS: for any other, the SDK compiles patterns in each request, which takes a quarter of a
	// request's time on the stand-in.
	config := awsconfig.New("us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = aws.String("http://dynamodb.local")
	config.HTTPClient = &http.Client{Transport: transport}
	return stackstore.New(dynamodb.NewFromConfig(config), schema.StackTables(StackName), rand.Float64)
}

// Filled returns a function that returns stores with the same content, each on its own engine. fill writes the content once.
func Filled(fill func(*stackstore.Store) error) func(t T) *stackstore.Store {
	filled := sync.OnceValues(func() (*dynamolocal.Engine, error) {
		defined, err := tables()
		if err != nil {
			return nil, err
		}
		engine := dynamolocal.New(time.Now, defined...)
		return engine, fill(Over(engine.Transport()))
	})
	return func(t T) *stackstore.Store {
		t.Helper()
		engine, err := filled()
		if err != nil {
			t.Fatal("filling the local store's tables:", err)
		}
		return Over(engine.Clone(time.Now).Transport())
	}
}

// New returns a store on its own, empty engine.
func New(t T) *stackstore.Store {
	t.Helper()
	return Over(NewEngine(t).Transport())
}
