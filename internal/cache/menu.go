package cache

import (
	"context"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// Origin is where menus are fetched. Its errors are returned as they are.
type Origin interface {
	Categories(ctx context.Context, merchantID string) ([]menu.Category, error)
	Branches(ctx context.Context, merchantID string) ([]menu.Branch, error)
}

// Menu reads merchants' menus through the cache.
type Menu struct {
	origin     Origin
	categories *Loader[[]menu.Category]
	branches   *Loader[[]menu.Branch]
}

// NewMenu returns the menus of an origin.
func NewMenu(origin Origin, options Options) *Menu {
	return &Menu{
		origin:     origin,
		categories: NewLoader[[]menu.Category](options),
		branches:   NewLoader[[]menu.Branch](options),
	}
}

// Categories returns the merchant's categories and where they came from, or the origin's error. It is a Serve.
func (m *Menu) Categories(ctx context.Context, merchantID string) ([]menu.Category, Source, error) {
	return m.categories.Serve(ctx, Key(merchantID, "categories"), func(ctx context.Context) ([]menu.Category, error) {
		return m.origin.Categories(ctx, merchantID)
	})
}

// Renewed waits until the lists that were served stale are renewed, or the context ends. An instance of a function is frozen
// once it has answered, and its renewals with it.
func (m *Menu) Renewed(ctx context.Context) {
	m.categories.Renewed(ctx)
	m.branches.Renewed(ctx)
}

// PrefetchCategories is Categories as LoadAdmitted does it.
func (m *Menu) PrefetchCategories(ctx context.Context, merchantID string, admit Admit) ([]menu.Category, Source, error) {
	return m.categories.LoadAdmitted(ctx, Key(merchantID, "categories"), admit, func(ctx context.Context) ([]menu.Category, error) {
		return m.origin.Categories(ctx, merchantID)
	})
}

// PrefetchBranches is Branches as LoadAdmitted does it.
func (m *Menu) PrefetchBranches(ctx context.Context, merchantID string, admit Admit) ([]menu.Branch, Source, error) {
	return m.branches.LoadAdmitted(ctx, Key(merchantID, "branches"), admit, func(ctx context.Context) ([]menu.Branch, error) {
		return m.origin.Branches(ctx, merchantID)
	})
}

// Branches returns the merchant's branches and where they came from, or the origin's error. It is a Serve.
func (m *Menu) Branches(ctx context.Context, merchantID string) ([]menu.Branch, Source, error) {
	return m.branches.Serve(ctx, Key(merchantID, "branches"), func(ctx context.Context) ([]menu.Branch, error) {
		return m.origin.Branches(ctx, merchantID)
	})
}
