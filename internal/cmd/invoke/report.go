package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// report is the printed result of an instance's invocations. After a failure it has the earlier results.
type report struct {
	Function      string          `json:"function"`
	InitMS        float64         `json:"initMs"`
	DurationsMS   []float64       `json:"durationsMs"`
	FunctionError string          `json:"functionError,omitempty"`
	Payload       json.RawMessage `json:"payload,omitempty"` // of the last invocation
	Log           string          `json:"log"`
}

func (r report) writeJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

func (r report) writeText(w io.Writer) error {
	var parts []string
	if len(r.Payload) > 0 {
		parts = append(parts, r.answer())
	}
	if log := strings.TrimRight(r.Log, "\n"); log != "" {
		parts = append(parts, "Log:\n"+log)
	}
	if len(r.DurationsMS) > 0 {
		parts = append(parts, r.timing())
	}
	if len(parts) == 0 {
		return nil
	}
	_, err := io.WriteString(w, strings.Join(parts, "\n\n")+"\n")
	return err
}

// answer shows an answer to API Gateway as HTTP, and any other answer as JSON.
func (r report) answer() string {
	var answer events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(r.Payload, &answer); err != nil || answer.StatusCode == 0 {
		return indent(r.Payload)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", answer.StatusCode, http.StatusText(answer.StatusCode))
	for _, name := range slices.Sorted(maps.Keys(answer.Headers)) {
		fmt.Fprintf(&b, "%s: %s\n", name, answer.Headers[name])
	}
	for _, cookie := range answer.Cookies {
		fmt.Fprintf(&b, "Set-Cookie: %s\n", cookie)
	}
	if body := bodyText(answer); body != "" {
		b.WriteString("\n" + body)
	}
	return strings.TrimRight(b.String(), "\n")
}

func bodyText(answer events.APIGatewayV2HTTPResponse) string {
	body := []byte(answer.Body)
	if answer.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(answer.Body)
		if err != nil {
			return "(a body that is not base64)"
		}
		body = decoded
	}
	if !utf8.Valid(body) {
		return fmt.Sprintf("(%d bytes)", len(body))
	}
	return indent(body)
}

// indent indents JSON and leaves anything else unchanged.
func indent(data []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return string(data)
	}
	return b.String()
}

// timing returns a line with the durations of the initialization and the first invocation, and the median of the warm ones.
func (r report) timing() string {
	line := fmt.Sprintf("init %.1f ms  duration %.1f ms", r.InitMS, r.DurationsMS[0])
	if warm := slices.Sorted(slices.Values(r.DurationsMS[1:])); len(warm) > 0 {
		line += fmt.Sprintf("  warm %.1f ms (median of %d)", warm[len(warm)/2], len(warm))
	}
	return line
}
