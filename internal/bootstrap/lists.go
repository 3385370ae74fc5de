package bootstrap

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

const (
	// listTime is the time for making lists: they are for the customer's next message, which comes soon.
	listTime = 10 * time.Second
	// maxLists bounds the lists that a job makes. Further pages are made when a customer asks for them.
	maxLists = 40
	// listsAtOnce is how many of the account's calls a job has under way.
	listsAtOnce = 4
)

// Lists knows the contents that show lists, by a Twilio account, "" being Sufrah's own.
type Lists interface {
	// SID returns the SID of the account's content that shows the list, which it makes if there is none.
	SID(ctx context.Context, accountSID string, list listpicker.List) (string, error)
	// Prune deletes some of the account's old contents, now and then, and returns how many.
	Prune(ctx context.Context, accountSID string) (int, error)
}

// ListPart makes the lists that customers tap of a merchant's menu and branches, in both languages, and deletes old ones. It
// reads both through the menu, and so shares the fetches of the parts that decide the job.
func ListPart(m *cache.Menu, lists Lists) Part {
	making := func(ctx context.Context, j Job, admit cache.Admit) (int, cache.Source, error) {
		categories, branches, err := both(ctx, m, j.MerchantID, admit)
		if err != nil {
			return 0, cache.None, err
		}
		var all []listpicker.List
		for _, language := range []menu.Language{menu.LanguageArabic, menu.LanguageEnglish} {
			all = append(all, listpicker.Menu(categories, language)...)
			all = append(all, listpicker.Branches(branches, language)...)
		}
		all = all[:min(len(all), maxLists)]
		ctx, cancel := context.WithTimeout(ctx, listTime)
		defer cancel()
		errs := atOnce(listsAtOnce, len(all), func(i int) error {
			_, err := lists.SID(ctx, j.TwilioAccountSID, all[i])
			return err
		})
		_, pruneErr := lists.Prune(ctx, j.TwilioAccountSID)
		return len(all) - len(errs), cache.Fetched, errors.Join(append(errs, pruneErr)...)
	}
	return Part{Name: "lists", Done: MessageListsMade, Optional: true, Prefetch: making}
}

// ProductPart prefetches products at a merchant's first branch, for the first of its categories: at most as many as calls.
func ProductPart(m *cache.Menu, products *cache.Products, calls int) Part {
	prefetch := func(ctx context.Context, j Job, admit cache.Admit) (int, cache.Source, error) {
		categories, branches, err := both(ctx, m, j.MerchantID, admit)
		if err != nil {
			return 0, cache.None, err
		}
		branchID := ""
		if len(branches) > 0 {
			branchID = branches[0].ID
		}
		var mu sync.Mutex
		count, source := 0, cache.None
		errs := atOnce(calls, min(calls, len(categories)), func(i int) error {
			list, from, err := products.PrefetchProducts(ctx, j.MerchantID, categories[i].ID, branchID, admit)
			if _, waits := errors.AsType[*WaitError](err); waits {
				return nil // both lists were there without a slot, and no job waits for products alone
			}
			mu.Lock()
			defer mu.Unlock()
			count += len(list)
			source = max(source, from)
			return err
		})
		return count, source, errors.Join(errs...)
	}
	return Part{Name: "products", Done: MessageProductsPrefetched, Optional: true, Prefetch: prefetch}
}

// both returns a merchant's categories and branches, which it reads at the same time.
func both(
	ctx context.Context, m *cache.Menu, merchantID string, admit cache.Admit,
) (categories []menu.Category, branches []menu.Branch, err error) {
	var reading sync.WaitGroup
	var branchesErr error
	reading.Go(func() { branches, _, branchesErr = m.PrefetchBranches(ctx, merchantID, admit) })
	categories, _, err = m.PrefetchCategories(ctx, merchantID, admit)
	reading.Wait()
	if err != nil && branchesErr != nil && err.Error() == branchesErr.Error() {
		return categories, branches, err // the origin's failure, which both met
	}
	return categories, branches, errors.Join(err, branchesErr)
}

// atOnce calls do with 0 to n-1, some at a time, and returns the errors.
func atOnce(most, n int, do func(i int) error) []error {
	var errs []error
	var mu sync.Mutex
	var running sync.WaitGroup
	places := make(chan struct{}, max(most, 1))
	for i := range n {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			if err := do(i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	running.Wait()
	return errs
}
