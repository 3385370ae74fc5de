package sqslocal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxRequestBytes has room for the largest batch with every byte escaped as \u00xx.
const maxRequestBytes = 8 * maxMessageBytes

// ServeHTTP answers one SQS request (AWS JSON 1.0), with SQS's own errors. Any other request gets UnknownOperationException.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := e.serve(w, r)
	status := http.StatusOK
	if err != nil {
		fault := asFault(err)
		w.Header().Set("X-Amzn-Query-Error", fault.queryCode+";Sender")
		status, answer = fault.status, fault.body()
	}
	w.Header().Set("X-Amzn-Requestid", newID())
	writeJSON(w, status, answer)
}

func (e *Engine) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	if r.Method != http.MethodPost || !ok {
		return nil, errUnknownOperation
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, errRequestTooLarge
		}
		return nil, serialization(fmt.Errorf("reading the request: %w", err))
	}
	return e.dispatch(r.Context(), operation, endpoint(r), body)
}

func (e *Engine) dispatch(ctx context.Context, operation, endpoint string, body []byte) (any, error) {
	at := func(name string) string { return QueueURL(endpoint, name) }
	switch operation {
	case "SendMessage":
		return handle(body, e.sendMessage)
	case "SendMessageBatch":
		return handle(body, e.sendMessageBatch)
	case "ReceiveMessage":
		return handle(body, func(in receiveInput) (receiveOutput, error) { return e.receiveMessage(ctx, in) })
	case "DeleteMessage":
		return handle(body, e.deleteMessage)
	case "DeleteMessageBatch":
		return handle(body, e.deleteMessageBatch)
	case "ChangeMessageVisibility":
		return handle(body, e.changeMessageVisibility)
	case "ChangeMessageVisibilityBatch":
		return handle(body, e.changeMessageVisibilityBatch)
	case "CreateQueue":
		return handle(body, func(in createQueueInput) (queueURLOutput, error) { return e.createQueue(in, at) })
	case "GetQueueUrl":
		return handle(body, func(in getQueueURLInput) (queueURLOutput, error) { return e.getQueueURL(in, at) })
	case "ListQueues":
		return handle(body, func(in listQueuesInput) (listQueuesOutput, error) { return e.listQueues(in, at) })
	case "GetQueueAttributes":
		return handle(body, e.getQueueAttributes)
	case "PurgeQueue":
		return handle(body, e.purgeQueue)
	case "StartMessageMoveTask":
		return handle(body, e.startMessageMoveTask)
	case "ListMessageMoveTasks":
		return handle(body, e.listMessageMoveTasks)
	case "CancelMessageMoveTask":
		return handle(body, e.cancelMessageMoveTask)
	default:
		return nil, errUnknownOperation
	}
}

func handle[In, Out any](body []byte, operation func(In) (Out, error)) (any, error) {
	var in In
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, serialization(err)
	}
	return operation(in)
}

// endpoint returns the address at which the caller reached the engine. It cuts off the path of a queue's URL, because SDKs
// send requests about a queue there, and a slash at the end, which some SDKs append.
func endpoint(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.URL.Scheme == "https" {
		scheme = "https"
	}
	path := r.URL.Path
	if queue := strings.LastIndex(path, "/"+AccountID+"/"); queue >= 0 {
		path = path[:queue]
	}
	return scheme + "://" + r.Host + strings.TrimRight(path, "/")
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"__type":"com.amazon.coral.service#InternalFailure"}`)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the caller has gone
}

// Transport returns an http.RoundTripper that answers requests to any host in process, without a network. A long poll whose
// context ends returns an empty answer, not an error.
func (e *Engine) Transport() http.RoundTripper { return transport{engine: e} }

type transport struct{ engine *Engine }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	inbound := r
	if r.Host == "" {
		inbound = r.Clone(r.Context())
		inbound.Host = r.URL.Host
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	t.engine.ServeHTTP(rec, inbound)
	return &http.Response{
		Status: fmt.Sprintf("%d %s", rec.status, http.StatusText(rec.status)), StatusCode: rec.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: rec.header,
		Body: io.NopCloser(&rec.body), ContentLength: int64(rec.body.Len()), Request: r,
	}, nil
}

// recorder keeps an answer for the in-process transport.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
