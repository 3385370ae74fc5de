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
	// listTime bounds the time for making lists. The customer's next message, which they are made for, comes soon.
	listTime = 10 * time.Second
	// maxLists is the most lists that a job makes. Further pages are made when a customer asks for them.
	maxLists = 40
	// listsAtOnce is the most calls to Twilio that a job makes at the same time.
	listsAtOnce = 4
)

// Lists finds or makes the contents at Twilio that show lists. An empty accountSID is Sufrah's own account.
type Lists interface {
	// SID returns the SID of the account's content that shows the list. It makes the content if there is none.
	SID(ctx context.Context, accountSID string, list listpicker.List) (string, error)
	// Prune deletes some of the account's old contents and returns their number. Most calls delete nothing.
	Prune(ctx context.Context, accountSID string) (int, error)
}

// ListPart makes the tappable lists of a merchant's menu and branches, in both languages, and deletes old ones. It reads
// categories and branches through the cache, and so shares the fetches of the parts that decide the job's outcome.
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

// ProductPart prefetches the products of a merchant's first categories, at its first branch: as many categories as the given
// number of calls, since each takes one.
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
				return nil // both lists were cached, so this job has no slot; it doesn't wait for one for products alone
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

// both reads a merchant's categories and branches at the same time and returns them.
func both(
	ctx context.Context, m *cache.Menu, merchantID string, admit cache.Admit,
) (categories []menu.Category, branches []menu.Branch, err error) {
	var reading sync.WaitGroup
	var branchesErr error
	reading.Go(func() { branches, _, branchesErr = m.PrefetchBranches(ctx, merchantID, admit) })
	categories, _, err = m.PrefetchCategories(ctx, merchantID, admit)
	reading.Wait()
	if err != nil && branchesErr != nil && err.Error() == branchesErr.Error() {
		return categories, branches, err // both failed for the same reason: it is named once
	}
	return categories, branches, errors.Join(err, branchesErr)
}

// atOnce calls do with 0 to n-1, at most the given number at a time, and returns the errors.
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
