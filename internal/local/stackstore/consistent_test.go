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

// onlyConsistent fails for a read that could return old data.
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
		// Reads of an index never are consistent. Reads of the ranking need not be, because the restaurants found are read
		// again, nor reads of the ledger's months, because callbacks come late anyway.
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

// TestReadsAreConsistent: an answer includes everything that was written before the call. The stand-in always works like
// this; DynamoDB does so only on request.
func TestReadsAreConsistent(t *testing.T) {
	t.Parallel()
	storetest.Exercise(t, func(t *testing.T) storetest.Store { return newStore(onlyConsistent{t, newEngine(t).Transport()}) })
}
