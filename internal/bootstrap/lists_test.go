package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// shop is an origin of twelve categories, one branch, and three products of each category.
type shop struct {
	mu    sync.Mutex
	calls []string
}

func (s *shop) call(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
}

func (s *shop) Categories(context.Context, string) ([]menu.Category, error) {
	s.call("categories")
	var all []menu.Category
	for i := range 12 {
		all = append(all, menu.Category{ID: fmt.Sprint("c", i), Name: menu.Text{English: fmt.Sprint("Category ", i)}})
	}
	return all, nil
}

func (s *shop) Branches(context.Context, string) ([]menu.Branch, error) {
	s.call("branches")
	return []menu.Branch{{ID: "b1", Name: menu.Text{English: "Olaya"}}}, nil
}

func (s *shop) Products(_ context.Context, _, category, branch string) ([]menu.Product, error) {
	s.call("products of " + category + " at " + branch)
	return make([]menu.Product, 3), nil
}

// noCache is a cache that is down.
type noCache struct{}

var errNoCache = errors.New("no cache")

func (noCache) Get(context.Context, string) ([]byte, bool, error)        { return nil, false, errNoCache }
func (noCache) Set(context.Context, string, []byte, time.Duration) error { return errNoCache }
func (noCache) DeleteIfEquals(context.Context, string, string) error     { return errNoCache }
func (noCache) SetIfAbsent(context.Context, string, string, time.Duration) (bool, error) {
	return false, errNoCache
}

func cacheOptions() cache.Options {
	return cache.Options{
		Server: noCache{}, TTL: time.Minute, Now: time.Now, Random: func() uint64 { return 1 }, Log: slog.New(slog.DiscardHandler),
	}
}

// madeLists notes the requested lists, and refuses lists with a certain button.
type madeLists struct {
	mu      sync.Mutex
	made    []string
	pruned  string
	refused string
}

func (l *madeLists) SID(_ context.Context, account string, list listpicker.List) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if list.Button == l.refused {
		return "", errors.New("refused")
	}
	l.made = append(l.made, fmt.Sprintf("%s %s %d", account, list.Button, len(list.Items)))
	return "HX1", nil
}

func (l *madeLists) Prune(_ context.Context, account string) (int, error) {
	l.pruned = account
	return 0, nil
}

func listJob() bootstrap.Job {
	j := newJob("merchant-1")
	j.TwilioAccountSID = "AC1"
	return j
}

func TestListsOfMenuAndBranchesAreMadeInAdvance(t *testing.T) {
	t.Parallel()
	lists := &madeLists{}
	part := bootstrap.ListPart(cache.NewMenu(&shop{}, cacheOptions()), lists)
	n, source, err := part.Prefetch(t.Context(), listJob(), nil)
	want := []string{
		"AC1 See the branches 1", "AC1 See the menu 10", "AC1 See the menu 3", "AC1 عرض الفروع 1", "AC1 عرض القائمة 10", "AC1 عرض القائمة 3",
	}
	slices.Sort(lists.made)
	if n != 6 || source != cache.Fetched || err != nil || !part.Optional || lists.pruned != "AC1" || !slices.Equal(lists.made, want) {
		t.Errorf("%d lists were made in advance (source %v, error %v, optional %t, pruned for %q): %q\nwant 6: %q", n, source, err, part.Optional, lists.pruned, lists.made, want)
	}
	failing := &madeLists{refused: "See the menu"}
	n, _, err = bootstrap.ListPart(cache.NewMenu(&shop{}, cacheOptions()), failing).Prefetch(t.Context(), listJob(), nil)
	if n != 4 || err == nil || failing.pruned != "AC1" {
		t.Errorf("where two lists fail, %d were made with the error %v and pruned for %q, want the other 4 with an error", n, err, failing.pruned)
	}
}

func TestProductsOfTheFirstCategoriesAreFetchedInAdvance(t *testing.T) {
	t.Parallel()
	s := &shop{}
	part := bootstrap.ProductPart(cache.NewMenu(s, cacheOptions()), cache.NewProducts(s, cacheOptions()), 2)
	n, source, err := part.Prefetch(t.Context(), listJob(), nil)
	want := []string{"branches", "categories", "products of c0 at b1", "products of c1 at b1"}
	slices.Sort(s.calls)
	if n != 6 || source != cache.Fetched || err != nil || !part.Optional || !slices.Equal(s.calls, want) {
		t.Errorf("%d products were fetched in advance (source %v, error %v, optional %t) by the calls %q, want 6 by %q", n, source, err, part.Optional, s.calls, want)
	}
}

// TestFailureOfBothListsIsNamedOnce: categories and branches that fail for the same reason give one reason.
func TestFailureOfBothListsIsNamedOnce(t *testing.T) {
	t.Parallel()
	admit := func(context.Context) error { return errors.New("no slot") }
	_, _, err := bootstrap.ListPart(cache.NewMenu(&shop{}, cacheOptions()), &madeLists{}).Prefetch(t.Context(), listJob(), admit)
	if err == nil || strings.Count(err.Error(), "no slot") != 1 {
		t.Errorf("error %v, want the reason once", err)
	}
}
