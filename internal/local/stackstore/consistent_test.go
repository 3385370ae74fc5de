package stackstore_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
)

// onlyConsistent refuses to let a read pass that could have an old answer.
type onlyConsistent struct {
	t    *testing.T
	next http.RoundTripper
}

func (c onlyConsistent) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	type read struct {
		ConsistentRead bool
		IndexName      string
		RequestItems   map[string]json.RawMessage
	}
	check := func(what string, r read) {
		// Index reads never are. Reads of the ranking needn't be, because the restaurants at a place are read again, and neither need
		// reads of the ledger's months, because their callbacks come late anyway.
		stale := bytes.Contains(body, []byte(`"`+schema.RankingPrefix)) || bytes.Contains(body, []byte(`"`+schema.LedgerPrefix))
		if !r.ConsistentRead && r.IndexName == "" && !stale {
			c.t.Errorf("%s may have an old answer: %s", what, body)
		}
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var whole read
	switch operation {
	case "GetItem", "Query", "Scan":
		err = json.Unmarshal(body, &whole)
		check(operation, whole)
	case "BatchGetItem":
		err = json.Unmarshal(body, &whole)
		for table, request := range whole.RequestItems {
			var part read
			if err == nil {
				err = json.Unmarshal(request, &part)
			}
			check(operation+" of "+table, part)
		}
	}
	if err != nil {
		c.t.Errorf("%s: %v in %s", operation, err, body)
	}
	return c.next.RoundTrip(r)
}

// TestReadsAreConsistent: an answer includes everything written before the call. The stand-in always does that, DynamoDB only
// if asked.
func TestReadsAreConsistent(t *testing.T) {
	t.Parallel()
	storetest.Exercise(t, func(t *testing.T) storetest.Store { return newStore(onlyConsistent{t, newEngine(t).Transport()}) })
}
