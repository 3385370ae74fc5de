// Package openapitest compares the usage API's answers with its description, docs/openapi.yaml.
package openapitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// anyPath is the path that answers to unknown paths are compared with.
const anyPath = "/api/usage"

// Description is a description of the API that answers can be held to. It is safe for concurrent use.
type Description struct {
	mu        sync.Mutex // the library renders schemas as it first needs them, and minds nobody else meanwhile
	document  *v3.Document
	validator validator.Validator
}

// Load reads a description, and fails if it is not valid OpenAPI 3.1.
func Load(path string) (*Description, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	// Strict: a field or header that the description doesn't have is a fault, though clients have to put up with it.
	v, faults := validator.NewValidator(document, config.WithFormatAssertions(), config.WithStrictMode(),
		config.WithStrictIgnoredHeadersExtra("X-Content-Type-Options", "Apigw-Requestid"))
	if len(faults) > 0 {
		return nil, fmt.Errorf("reading %s: %w", path, errors.Join(faults...))
	}
	if valid, faults := v.ValidateDocument(); !valid {
		err := fmt.Errorf("%s is not valid", path)
		for _, fault := range faults {
			err = errors.Join(err, fault)
		}
		return nil, err
	}
	return &Description{document: &model.Model, validator: v}, nil
}

// Check returns the differences between the description and the answer to a request for a path, decoded and without the query,
// or nil. An unknown path or method must be answered like the description's 404s and 405s.
func (d *Description) Check(method, path string, answer *http.Response, body []byte) error {
	if method == http.MethodHead {
		if len(body) > 0 {
			return fmt.Errorf("HEAD %s was answered with a body", path)
		}
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	template, operations := d.find(strings.TrimSuffix(path, "/")) // which makes no difference
	described := method
	if operations[method] == nil {
		if answer.StatusCode < 400 {
			return fmt.Errorf("%s %s is not described, and was answered with status %d", method, path, answer.StatusCode)
		}
		described = http.MethodGet
		if operations[described] == nil {
			template = anyPath
		}
	}
	request := &http.Request{Method: described, URL: &url.URL{Path: variable.ReplaceAllString(template, "any")}, Header: http.Header{}}
	response := *answer
	response.Body = io.NopCloser(bytes.NewReader(body))
	var differences error
	if valid, faults := d.validator.ValidateHttpResponse(request, &response); !valid {
		for _, fault := range faults {
			differences = errors.Join(differences, fault)
			for _, detail := range fault.SchemaValidationErrors {
				differences = errors.Join(differences, detail)
			}
		}
	}
	if differences != nil {
		return fmt.Errorf("%s %s, status %d: %w\n%s", method, path, answer.StatusCode, differences, body)
	}
	return nil
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// find returns the template that fits a path with its operations by method, or nothing. The template with the fewest variables
// wins.
func (d *Description) find(path string) (template string, operations map[string]*v3.Operation) {
	fewest := math.MaxInt
	for candidate, item := range d.document.Paths.PathItems.FromOldest() {
		variables := len(variable.FindAllString(candidate, -1))
		if variables >= fewest || !stands(candidate, path) {
			continue
		}
		fewest, template, operations = variables, candidate, map[string]*v3.Operation{}
		for method, operation := range item.GetOperations().FromOldest() {
			operations[strings.ToUpper(method)] = operation
		}
	}
	return template, operations
}

// stands reports whether a template stands for a path: a variable for one segment that isn't empty.
func stands(template, path string) bool {
	wanted, given := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(wanted, given, func(want, got string) bool {
		return want == got || variable.MatchString(want) && got != ""
	})
}

// Example is an answer that the description shows, with the request that leads to it.
type Example struct {
	Name    string // operation, status and name in the description
	Status  int
	Value   any      // as package json decodes it
	Request *Request // nil if the answer is not the API's own
}

// Request is the extension x-request of an example. Its credentials and restaurants exist in usageapi's tests.
type Request struct {
	Method    string            `json:"method" yaml:"method"` // empty: GET
	Path      string            `json:"path" yaml:"path"`     // with the query
	Headers   map[string]string `json:"headers" yaml:"headers"`
	Body      string            `json:"body" yaml:"body"`
	BodyBytes int               `json:"bodyBytes" yaml:"bodyBytes"` // length of a body that says nothing
	Fault     string            `json:"fault" yaml:"fault"`         // fault of the store: "unavailable" or "unexpected"
	Given     string            `json:"given" yaml:"given"`         // earlier events: "renewed", "activity" or "nearing"
}

// Examples returns all examples of answers. It fails if a status has none.
func (d *Description) Examples() ([]Example, error) {
	var examples []Example
	for path, item := range d.document.Paths.PathItems.FromOldest() {
		for method, operation := range item.GetOperations().FromOldest() {
			for status, response := range operation.Responses.Codes.FromOldest() {
				for _, content := range response.Content.FromOldest() {
					where := fmt.Sprintf("%s %s %s", strings.ToUpper(method), path, status)
					if content.Examples.Len() == 0 {
						return nil, fmt.Errorf("%s has no example", where)
					}
					for name, shown := range content.Examples.FromOldest() {
						example, err := newExample(shown)
						if err != nil {
							return nil, fmt.Errorf("%s %s: %w", where, name, err)
						}
						example.Name = where + " " + name
						if _, err := fmt.Sscan(status, &example.Status); err != nil {
							return nil, fmt.Errorf("%s: %w", where, err)
						}
						examples = append(examples, example)
					}
				}
			}
		}
	}
	return examples, nil
}

func newExample(shown *base.Example) (Example, error) {
	var example Example
	var value any
	if err := shown.Value.Decode(&value); err != nil {
		return example, fmt.Errorf("decoding the value: %w", err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return example, fmt.Errorf("decoding the value: %w", err)
	}
	if err := json.Unmarshal(text, &example.Value); err != nil {
		return example, fmt.Errorf("decoding the value: %w", err)
	}
	if node, ok := shown.Extensions.Get("x-request"); ok {
		example.Request = &Request{}
		if err := node.Decode(example.Request); err != nil {
			return example, fmt.Errorf("decoding x-request: %w", err)
		}
	}
	return example, nil
}

// Codes returns the codes of errors that the description knows.
func (d *Description) Codes() []string {
	schema, ok := d.document.Components.Schemas.Get("ErrorCode")
	if !ok {
		return nil
	}
	var codes []string
	for _, node := range schema.Schema().Enum {
		codes = append(codes, node.Value)
	}
	slices.Sort(codes)
	return codes
}
