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

// anyPath is the path that describes the answers for unknown paths.
const anyPath = "/api/usage"

// Description is a description of the API with which answers can be compared. It is safe for concurrent use.
type Description struct {
	mu        sync.Mutex // the library renders a schema at its first use, and isn't safe for concurrent use then
	document  *v3.Document
	validator validator.Validator
}

// Load reads a description. It fails if it isn't valid OpenAPI 3.1.
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
	// Strict: a field or header that isn't in the description is a fault here, although clients must tolerate it.
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

// Check returns the differences between an answer and the description, nil if there are none. path is the request's path,
// decoded and without the query. For an unknown path or method, the answer must be like the description's 404s and 405s.
func (d *Description) Check(method, path string, answer *http.Response, body []byte) error {
	if method == http.MethodHead {
		if len(body) > 0 {
			return fmt.Errorf("HEAD %s was answered with a body", path)
		}
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	template, operations := d.find(strings.TrimSuffix(path, "/")) // a slash at the end makes no difference
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

// find returns the template that fits a path, with its operations by method, or nothing. If several fit, it returns the one
// with the fewest variables.
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

// stands reports whether a template fits a path. A variable stands for one segment that isn't empty.
func stands(template, path string) bool {
	wanted, given := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(wanted, given, func(want, got string) bool {
		return want == got || variable.MatchString(want) && got != ""
	})
}

// Example is an answer in the description, with the request that causes it.
type Example struct {
	Name    string // operation, status and name in the description
	Status  int
	Value   any      // as package json decodes it
	Request *Request // nil if the API itself doesn't give the answer
}

// Request is the extension x-request of an example. Its credentials and restaurants exist in usagehttp's tests.
type Request struct {
	Method    string            `json:"method" yaml:"method"` // empty: GET
	Path      string            `json:"path" yaml:"path"`     // with the query
	Headers   map[string]string `json:"headers" yaml:"headers"`
	Body      string            `json:"body" yaml:"body"`
	BodyBytes int               `json:"bodyBytes" yaml:"bodyBytes"` // length of a meaningless body
	Fault     string            `json:"fault" yaml:"fault"`         // fault of the store: "unavailable" or "unexpected"
	Given     string            `json:"given" yaml:"given"`         // what happened before: "renewed", "activity" or "nearing"
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

// Codes returns all error codes in the description.
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
