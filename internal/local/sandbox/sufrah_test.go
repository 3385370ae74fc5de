package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/sufrah"
)

// setupSufrah returns a stand-in and the production client of it.
func setupSufrah(t *testing.T) (*Sufrah, *sufrah.Client, string) {
	t.Helper()
	standIn := NewSufrah(luck())
	server := httptest.NewServer(standIn)
	t.Cleanup(server.Close)
	client, err := sufrah.New(sufrah.Config{BaseURL: server.URL + SufrahBasePath, APIKey: "local", HTTPClient: server.Client()})
	if err != nil {
		t.Fatalf("making the Sufrah client: %v", err)
	}
	return standIn, client, server.URL
}

func TestSufrahAnswersTheClient(t *testing.T) {
	t.Parallel()
	standIn, client, _ := setupSufrah(t)
	categories, err := client.Categories(t.Context(), "merchant-clxyz123abc")
	if err != nil {
		t.Fatalf("fetching the categories: %v", err)
	}
	var names []string
	for _, c := range categories {
		names = append(names, c.Name.In(menu.LanguageArabic))
	}
	wantNames := []string{"مقبلات", "مشويات", "أطباق الأرز", "فطور شعبي", "حلويات", "مشروبات", "Mocktails"}
	if diff := cmp.Diff(wantNames, names); diff != "" {
		t.Errorf("the sandbox's categories (-want +got):\n%s", diff)
	}
	branches, err := client.Branches(t.Context(), "merchant-other")
	if err != nil {
		t.Fatalf("fetching the branches: %v", err)
	}
	var addresses []string
	for _, b := range branches {
		addresses = append(addresses, b.Address.In(menu.LanguageEnglish))
	}
	wantAddresses := []string{"Olaya Street, Riyadh", "طريق أنس بن مالك، الملقا", "Corniche Road, Jeddah"}
	if diff := cmp.Diff(wantAddresses, addresses); diff != "" {
		t.Errorf("the sandbox's branches (-want +got):\n%s", diff)
	}
	wantCalls := map[string]int{
		"/api/v1/external/merchants/merchant-clxyz123abc/categories": 1,
		"/api/v1/external/merchants/merchant-other/branches":         1,
	}
	if diff := cmp.Diff(wantCalls, standIn.Calls()); diff != "" {
		t.Errorf("the sandbox counts other calls than were made (-want +got):\n%s", diff)
	}
}

func TestSufrahRefuses(t *testing.T) {
	t.Parallel()
	_, _, address := setupSufrah(t)
	const lists = SufrahBasePath + "/merchants/"
	tests := map[string]struct {
		method, path, authorization string
		want                        int
	}{
		"a call that is right":     {"GET", lists + "merchant-a/categories", "ApiToken k", 200},
		"no key":                   {"GET", lists + "merchant-a/categories", "", 401},
		"an empty key":             {"GET", lists + "merchant-a/branches", "ApiToken ", 401},
		"another scheme":           {"GET", lists + "merchant-a/branches", "Bearer k", 401},
		"an unknown merchant":      {"GET", lists + "shop-a/branches", "ApiToken k", 404},
		"a merchant without an id": {"GET", lists + "merchant-/branches", "ApiToken k", 404},
		"another list":             {"GET", lists + "merchant-a/orders", "ApiToken k", 404},
		"another method":           {"POST", lists + "merchant-a/branches", "ApiToken k", 405},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, address+test.path, nil)
			if err != nil {
				t.Fatalf("making the request: %v", err)
			}
			request.Header.Set("Authorization", test.authorization)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatalf("sending the request: %v", err)
			}
			_ = response.Body.Close()
			if response.StatusCode != test.want {
				t.Errorf("the stand-in answers with %d, Sufrah with %d", response.StatusCode, test.want)
			}
			contentType := response.Header.Get("Content-Type")
			if test.want == 200 && !strings.HasPrefix(contentType, "text/plain") {
				t.Errorf("the stand-in's list has the content type %q, Sufrah's text/plain", contentType)
			}
		})
	}
}

func TestSufrahFaults(t *testing.T) {
	t.Parallel()
	standIn, client, _ := setupSufrah(t)
	const merchant = "merchant-a"
	for n, test := range []struct {
		status    int
		retryable bool
	}{{503, true}, {429, true}, {404, false}} {
		if err := standIn.Fault().Set(Behavior{FailRate: 1, Status: test.status}); err != nil {
			t.Fatalf("setting the sandbox's behaviour: %v", err)
		}
		_, err := client.Branches(t.Context(), merchant)
		e, ok := errors.AsType[*sufrah.Error](err)
		if !ok || e.StatusCode != test.status || e.Retryable() != test.retryable {
			t.Errorf("a fault with the status %d gives the client the error %v", test.status, err)
		}
		calls := standIn.Calls()[SufrahBasePath+"/merchants/"+merchant+"/branches"]
		if calls != n+1 {
			t.Errorf("%d calls were counted, want %d: failing calls count too", calls, n+1)
		}
	}
}

func TestSufrahCountsAreBounded(t *testing.T) {
	t.Parallel()
	standIn := NewSufrah(luck())
	for n := range maxCountedPaths + 5 {
		standIn.count(fmt.Sprintf("/%d", n))
	}
	standIn.count("/0")
	calls := standIn.Calls()
	if len(calls) != maxCountedPaths+1 || calls["other"] != 5 || calls["/0"] != 2 {
		t.Errorf("the stand-in counts %d paths, %d other calls and %d of the first path, want a bounded number of paths, 5 and 2", len(calls), calls["other"], calls["/0"])
	}
}
