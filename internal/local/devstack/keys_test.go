package devstack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
)

// distinctKeys returns a writer that passes log lines on to next, and fails the test at its end if a line had a key twice.
// CloudWatch keeps only one of the two values, so that a query may find the wrong one.
func distinctKeys(t testing.TB, next io.Writer) io.Writer {
	w := &keyChecker{next: next, repeated: make(map[string]string)}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for key, line := range w.repeated {
			t.Errorf("a log line has the key %q twice: %s", key, line)
		}
	})
	return w
}

// keyChecker notes the keys that occur twice in a line.
type keyChecker struct {
	next io.Writer

	mu       sync.Mutex
	repeated map[string]string
}

// Write implements io.Writer. Each call has one line.
func (w *keyChecker) Write(line []byte) (int, error) {
	if key, err := repeatedKey(line); err == nil && key != "" {
		w.mu.Lock()
		w.repeated[key] = string(line)
		w.mu.Unlock()
	}
	return w.next.Write(line)
}

// repeatedKey returns the path of the first key that occurs twice in an object of a JSON value, "" if there is none.
func repeatedKey(text []byte) (string, error) {
	if !json.Valid(text) {
		return "", fmt.Errorf("not JSON: %q", text)
	}
	return repeatedIn(json.NewDecoder(bytes.NewReader(text)), ""), nil
}

// repeatedIn reads the decoder's next value up to its first repeated key. The value must be valid.
func repeatedIn(decoder *json.Decoder, path string) string {
	start, _ := decoder.Token()
	taken := make(map[string]bool)
	switch start {
	case json.Delim('{'):
		for decoder.More() {
			token, _ := decoder.Token()
			name, _ := token.(string)
			if taken[name] {
				return path + name
			}
			taken[name] = true
			if found := repeatedIn(decoder, path+name+"."); found != "" {
				return found
			}
		}
		_, _ = decoder.Token()
	case json.Delim('['):
		for decoder.More() {
			if found := repeatedIn(decoder, path); found != "" {
				return found
			}
		}
		_, _ = decoder.Token()
	}
	return ""
}

func TestRepeatedKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"status":200,"kind":"status","status":"delivered"}`:      "status",
		`{"status":200,"\u0073tatus":200}`:                         "status",
		`{"a":{"x":1,"x":2}}`:                                      "a.x",
		`{"a":[{"x":1},{"x":2,"x":3}]}`:                            "a.x",
		`{"a":{"x":1},"b":{"x":1},"x":[1,"x",null],"y":{},"z":[]}`: "",
		`{"a":[[],{"b":1}],"b":"b"}`:                               "",
	} {
		if got, err := repeatedKey([]byte(text)); got != want || err != nil {
			t.Errorf("repeatedKey(%s) = %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := repeatedKey([]byte(strings.Repeat("{", 3))); err == nil {
		t.Error("broken JSON is accepted, want an error")
	}
}
