package usagehttp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// FuzzList: an administrator's page is within its bounds for any query, and a refusal names the parameter at fault.
func FuzzList(f *testing.F) {
	for _, query := range []string{
		"", "limit=5&offset=1&isActive=true", "limit=100&offset=9007199254740993", "%6cimit=0", "limit=1&limit=2", "offset=-0", "limit=٥",
		"isActive=false&offset=1;limit=2", "limit=%", "LIMIT=0&limit[]=0",
		"limit=1&cursor=MTc1ODM5MTIwMDAwMC9uZXc", "cursor=MTc1NTcxMjgwMDAwMC9jbHh5ejEyM2FiYw&isActive=true", "cursor=MTc1ODM5MTIwMDAwMC9uZXc&offset=1", "cursor=LTUvYQ", "search=cl&limit=1", "search=cl&cursor=MS9jbG9zZWQvY2xvc2Vk", "search=%D9%85%D8%B7", "search=a", "search=+", "search=%ff%ff", "cursor=OTIyMzM3MjAzNjg1NDc3NTgwNy9h",
	} {
		f.Add(query)
	}
	fixture := setup(f)
	f.Fuzz(func(t *testing.T, query string) {
		fixture.log.Reset()
		r := request("/api/usage", asAdmin)
		r.URL.RawQuery = query
		w := fixture.do(t, r)
		var body struct {
			Data       []struct{ RestaurantID string }
			Pagination struct {
				Total, Limit int
				Offset       float64 // as JavaScript reads it
				HasMore      bool
				NextCursor   string
			}
			Error, Code string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("the list %q is answered with %q, which is no JSON: %v", query, w.Body, err)
		}
		page := body.Pagination
		switch w.Code {
		case http.StatusOK:
			if page.Limit < 1 || page.Limit > 100 || page.Offset < 0 || page.Offset > 1<<53-1 || len(body.Data) > page.Limit ||
				page.Total > 3 || page.HasMore != (page.Offset+float64(len(body.Data)) < float64(page.Total)) ||
				page.HasMore != (page.NextCursor != "") {
				t.Errorf("the list %q shows an impossible page, of at most 100 from 3 restaurants: %s", query, w.Body)
			}
		case http.StatusBadRequest:
			names := false
			for _, parameter := range []string{"limit", "offset", "isActive", "cursor", "search"} {
				names = names || strings.Contains(body.Error, "'"+parameter+"'")
			}
			if body.Code != "invalid_parameter" || !names && body.Error != "The query string could not be read." {
				t.Errorf("the list %q is refused with %s, want invalid_parameter, naming one", query, w.Body)
			}
		default:
			t.Errorf("the list %q is answered with %d, want 200 or 400: %s", query, w.Code, w.Body)
		}
	})
}
