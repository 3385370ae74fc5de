package cache

import (
	"context"
	"net/url"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// ProductOrigin is the source of products. Its errors reach the caller unchanged.
type ProductOrigin interface {
	// Products returns a category's products at a branch, or for no particular branch if branchID is "".
	Products(ctx context.Context, merchantID, categoryID, branchID string) ([]menu.Product, error)
}

// Products reads categories' products through the cache.
type Products struct {
	origin ProductOrigin
	loader *Loader[[]menu.Product]
}

// NewProducts returns the products of an origin.
func NewProducts(origin ProductOrigin, options Options) *Products {
	return &Products{origin: origin, loader: NewLoader[[]menu.Product](options)}
}

// Products returns the products of a merchant's category at a branch and their source, or the origin's error, as Loader.Load
// does.
func (p *Products) Products(ctx context.Context, merchantID, categoryID, branchID string) ([]menu.Product, Source, error) {
	return p.PrefetchProducts(ctx, merchantID, categoryID, branchID, nil)
}

// PrefetchProducts returns the same as Products, but needs admit's permission for a fetch, as Loader.LoadAdmitted does.
func (p *Products) PrefetchProducts(
	ctx context.Context, merchantID, categoryID, branchID string, admit Admit,
) ([]menu.Product, Source, error) {
	part := "products:" + url.QueryEscape(categoryID) + ":" + url.QueryEscape(branchID)
	return p.loader.LoadAdmitted(ctx, Key(merchantID, part), admit, func(ctx context.Context) ([]menu.Product, error) {
		return p.origin.Products(ctx, merchantID, categoryID, branchID)
	})
}
