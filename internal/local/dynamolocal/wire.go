package dynamolocal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	targetPrefix = "DynamoDB_20120810."
	contentType  = "application/x-amz-json-1.0"
	// maxBody is the service's limit of 16 MB for a request, plus a margin for the JSON around the items.
	maxBody = 16<<20 + 1<<20
)

// serviceError is an error as the service answers it.
type serviceError struct {
	code    string
	message string
	status  int // 0 means 400
	// misfit marks the error of a key that doesn't fit its table's schema: it cancels a transaction.
	misfit  bool
	item    document // the item that failed a condition, if the request asked for it
	reasons []cancellationReason
}

func (e *serviceError) Error() string { return e.code + ": " + e.message }

// MarshalJSON writes the error's wire form. The namespace before the code names the part of the service that sends such
// errors.
func (e *serviceError) MarshalJSON() ([]byte, error) {
	namespace := "com.amazonaws.dynamodb.v20120810#"
	switch e.code {
	case "ValidationException":
		namespace = "com.amazon.coral.validate#"
	case "SerializationException", "UnknownOperationException":
		namespace = "com.amazon.coral.service#"
	}
	return json.Marshal(struct {
		Type                string               `json:"__type"`
		Message             string               `json:"message"`
		Item                document             `json:",omitzero"`
		CancellationReasons []cancellationReason `json:",omitempty"`
	}{namespace + e.code, e.message, e.item, e.reasons})
}

func validation(format string, arguments ...any) error {
	return &serviceError{code: "ValidationException", message: fmt.Sprintf(format, arguments...)}
}

func invalidParameter(format string, arguments ...any) error {
	return validation("One or more parameter values were invalid: "+format, arguments...)
}

// misfit marks a validation error as the error of a key that doesn't fit its table's schema.
func misfit(err error) error {
	if failure, ok := errors.AsType[*serviceError](err); ok {
		failure.misfit = true
	}
	return err
}

func isMisfit(err error) bool {
	failure, ok := errors.AsType[*serviceError](err)
	return ok && failure.misfit
}

// operation answers a request's body with a response, which is then written as JSON.
type operation func(e *Engine, body []byte) (any, error)

var operations = map[string]operation{
	"BatchGetItem":       call((*Engine).batchGetItem),
	"BatchWriteItem":     call((*Engine).batchWriteItem),
	"CreateTable":        call((*Engine).createTable),
	"DeleteItem":         call((*Engine).deleteItem),
	"DeleteTable":        call((*Engine).deleteTable),
	"DescribeTable":      call((*Engine).describeTable),
	"DescribeTimeToLive": call((*Engine).describeTimeToLive),
	"GetItem":            call((*Engine).getItem),
	"ListTables":         call((*Engine).listTables),
	"PutItem":            call((*Engine).putItem),
	"Query":              call((*Engine).query),
	"Scan":               call((*Engine).scan),
	"TransactGetItems":   call((*Engine).transactGetItems),
	"TransactWriteItems": call((*Engine).transactWriteItems),
	"UpdateItem":         call((*Engine).updateItem),
	"UpdateTimeToLive":   call((*Engine).updateTimeToLive),
}

// call makes an operation of a method with a decoded request.
func call[Request, Response any](method func(*Engine, *Request) (Response, error)) operation {
	return func(e *Engine, body []byte) (any, error) {
		request := new(Request)
		if err := decodeRequest(body, request); err != nil {
			return nil, err
		}
		return method(e, request)
	}
}

// decodeRequest decodes a request's JSON. It refuses a parameter that this package doesn't know: to ignore it would change
// the request's meaning.
func decodeRequest(body []byte, request any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(request); err != nil {
		if _, field, unknown := strings.Cut(err.Error(), "unknown field "); unknown {
			return validation("Unsupported parameter: %s", field)
		}
		return serialization(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return serialization(errors.New("more than one value"))
	}
	return nil
}

// ServeHTTP answers one request of DynamoDB's JSON 1.0 protocol.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, header, body := e.answer(r)
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	// A failed write means that the client has gone.
	_, _ = w.Write(body)
}

// Transport returns a round tripper for the SDK's HTTP client. It answers requests to any host from this engine, without a
// socket. If a request's context ends first, its error is returned at once; as on a network, the request may be carried out
// all the same.
func (e *Engine) Transport() http.RoundTripper { return transport{e} }

type transport struct{ engine *Engine }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	answered := make(chan *http.Response, 1)
	go func() {
		if r.Body != nil {
			defer func() { _ = r.Body.Close() }()
		}
		status, header, body := t.engine.answer(r)
		answered <- &http.Response{
			Status:     strconv.Itoa(status) + " " + http.StatusText(status),
			StatusCode: status,
			Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header:        header,
			Body:          io.NopCloser(bytes.NewReader(body)),
			ContentLength: int64(len(body)),
			Request:       r,
		}
	}()
	select {
	case response := <-answered:
		return response, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer carries out a request and returns the whole response.
func (e *Engine) answer(r *http.Request) (status int, header http.Header, body []byte) {
	response, err := e.perform(r)
	status = http.StatusOK
	if err != nil {
		failure := asServiceError(err)
		status, response = max(failure.status, http.StatusBadRequest), failure
	}
	if body, err = json.Marshal(response); err != nil {
		failure := asServiceError(err)
		status, body = failure.status, []byte(`{"__type":"InternalServerError"}`)
	}
	return status, http.Header{
		"Content-Type":     {contentType},
		"Content-Length":   {strconv.Itoa(len(body))},
		"X-Amz-Crc32":      {strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)},
		"X-Amzn-Requestid": {e.requestID()},
	}, body
}

func (e *Engine) perform(r *http.Request) (any, error) {
	name, targeted := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	operation := operations[name]
	if !targeted || operation == nil || r.Method != http.MethodPost {
		return nil, &serviceError{code: "UnknownOperationException", message: "An unknown operation was requested."}
	}
	if r.Body == nil {
		return nil, serialization(io.ErrUnexpectedEOF)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, serialization(err)
	}
	if len(body) > maxBody {
		return nil, &serviceError{code: "RequestEntityTooLarge", status: http.StatusRequestEntityTooLarge,
			message: "The request is larger than 16 MB"}
	}
	return operation(e, body)
}

// asServiceError turns any error that isn't a service error into an internal one.
func asServiceError(err error) *serviceError {
	if known, ok := errors.AsType[*serviceError](err); ok {
		return known
	}
	return &serviceError{code: "InternalServerError", message: err.Error(), status: http.StatusInternalServerError}
}

// requestID returns the next request id, in the form of the service's ids.
func (e *Engine) requestID() string {
	return fmt.Sprintf("%052X", e.requests.Add(1))
}
