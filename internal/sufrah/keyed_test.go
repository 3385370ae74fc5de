package sufrah

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keys is a key that changes, or can't be looked up.
type keys struct {
	key string
	err error
}

func (k *keys) APIKey(context.Context) (string, error) { return k.key, k.err }

func TestKeyedClient(t *testing.T) {
	t.Parallel()
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.URL.Path+" "+r.Header.Get("Authorization"))
		_, _ = w.Write([]byte("[]"))
	}))
	t.Cleanup(server.Close)
	k := &keys{key: "one"}
	client, err := NewKeyed(Config{BaseURL: server.URL}, k)
	if err != nil {
		t.Fatalf("making the Sufrah client: %v", err)
	}
	if _, err := client.Categories(t.Context(), "m1"); err != nil {
		t.Errorf("fetching the categories fails with %v, want none", err)
	}
	k.key = "ApiToken two"
	if _, err := client.Branches(t.Context(), "m1"); err != nil {
		t.Errorf("fetching the branches fails with %v, want none", err)
	}
	want := []string{"/merchants/m1/categories ApiToken one", "/merchants/m1/branches ApiToken two"}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("after a new key in the secret, Sufrah is called with (-want +got):\n%s", diff)
	}

	down := errors.New("down")
	for name, faulty := range map[string]keys{"not to be had": {err: down}, "no key": {key: "a b"}} {
		*k = faulty
		for op, call := range map[string]func() error{
			"categories": func() error { _, err := client.Categories(t.Context(), "m1"); return err },
			"branches":   func() error { _, err := client.Branches(t.Context(), "m1"); return err },
		} {
			failure, ok := errors.AsType[*Error](call())
			if !ok || !failure.Retryable() || failure.Op != op || failure.MerchantID != "m1" || faulty.err != nil && !errors.Is(failure, down) {
				t.Errorf("with the key %s, fetching the %s gives %+v, want a retryable error with both names", name, op, failure)
			}
		}
	}
	if len(sent) != 2 {
		t.Errorf("Sufrah was called without a key: %v", sent)
	}
}

func TestKeyedClientConfig(t *testing.T) {
	t.Parallel()
	if _, err := NewKeyed(Config{BaseURL: "sufrah"}, &keys{}); err == nil {
		t.Error("a base URL without a host was accepted")
	}
}
