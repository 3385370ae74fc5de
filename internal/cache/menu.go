package cache

import (
	"context"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// Origin is the source of menus. Its errors reach the caller unchanged.
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

// Categories returns the merchant's categories and their source, or the origin's error, as Loader.Serve does.
func (m *Menu) Categories(ctx context.Context, merchantID string) ([]menu.Category, Source, error) {
	return m.categories.Serve(ctx, Key(merchantID, "categories"), func(ctx context.Context) ([]menu.Category, error) {
		return m.origin.Categories(ctx, merchantID)
	})
}

// Renewed waits for the renewals of lists that were served stale, or until the context ends. Without this wait, Lambda would
// freeze the renewals together with the instance as soon as the invocation has answered.
func (m *Menu) Renewed(ctx context.Context) {
	m.categories.Renewed(ctx)
	m.branches.Renewed(ctx)
}

// PrefetchCategories returns the same as Categories, but waits for a fetch and needs admit's permission for it, as
// Loader.LoadAdmitted does.
func (m *Menu) PrefetchCategories(ctx context.Context, merchantID string, admit Admit) ([]menu.Category, Source, error) {
	return m.categories.LoadAdmitted(ctx, Key(merchantID, "categories"), admit, func(ctx context.Context) ([]menu.Category, error) {
		return m.origin.Categories(ctx, merchantID)
	})
}

// PrefetchBranches returns the same as Branches, but waits for a fetch and needs admit's permission for it, as
// Loader.LoadAdmitted does.
func (m *Menu) PrefetchBranches(ctx context.Context, merchantID string, admit Admit) ([]menu.Branch, Source, error) {
	return m.branches.LoadAdmitted(ctx, Key(merchantID, "branches"), admit, func(ctx context.Context) ([]menu.Branch, error) {
		return m.origin.Branches(ctx, merchantID)
	})
}

// Branches returns the merchant's branches and their source, or the origin's error, as Loader.Serve does.
func (m *Menu) Branches(ctx context.Context, merchantID string) ([]menu.Branch, Source, error) {
	return m.branches.Serve(ctx, Key(merchantID, "branches"), func(ctx context.Context) ([]menu.Branch, error) {
		return m.origin.Branches(ctx, merchantID)
	})
}
