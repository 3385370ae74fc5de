package conversation

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// Products returns a category's products at a branch, from the nearest source that has them.
type Products interface {
	Products(ctx context.Context, merchantID, categoryID, branchID string) ([]menu.Product, cache.Source, error)
}

// Lists keeps the contents that show lists in a Twilio account; "" is Sufrah's own account.
type Lists interface {
	// SID returns the SID of the account's content for the list, and creates the content if there is none.
	SID(ctx context.Context, accountSID string, list listpicker.List) (string, error)
	// Forget drops the list's SID, because its content couldn't be sent.
	Forget(ctx context.Context, accountSID string, list listpicker.List) error
}

// Choices keeps the key of the branch that a customer chose, for about as long as a session. It may forget.
type Choices interface {
	Choose(ctx context.Context, restaurantID, customer, branch string)
	Chosen(ctx context.Context, restaurantID, customer string) (branch string)
}

// listPatience is how long a customer waits for a list to be created before text is sent instead.
const listPatience = 1500 * time.Millisecond

// templateRows is the number of rows of a list template with no number in its key.
const templateRows = 10

// shower gathers the data that an answer shows.
type shower struct {
	*Service
	log      *slog.Logger
	tenant   Tenant
	customer string
	language menu.Language
	source   cache.Source // the least fresh source of all reads, which is the largest value
}

// show returns the content for a row, and the source of its data.
func (s *Service) show(ctx context.Context, log *slog.Logger, t Tenant, customer string, row listpicker.Row) (Content, cache.Source, error) {
	sh := &shower{Service: s, log: log, tenant: t, customer: customer, language: row.Language}
	var content Content
	var err error
	switch row.Kind {
	case listpicker.KindBranches:
		content, err = sh.branches(ctx, row.Page)
	case listpicker.KindBranch:
		content, err = sh.branch(ctx, row)
	case listpicker.KindCategory, listpicker.KindProducts, listpicker.KindProduct:
		content, err = sh.products(ctx, row)
	default:
		content, err = sh.menu(ctx, row.Page)
	}
	return content, sh.source, err
}

// read returns a list, or an empty list if reading failed permanently.
func read[T any](ctx context.Context, sh *shower, list []T, source cache.Source, err error) ([]T, error) {
	sh.source = max(sh.source, source)
	if err != nil && !retryable(err) {
		sh.log.LogAttrs(ctx, slog.LevelError, "merchant refused by the Sufrah API: the customer is shown an empty list",
			slog.String("merchantId", sh.tenant.Restaurant.MerchantID), slog.Any("error", err))
		return nil, nil
	}
	return list, err
}

func (sh *shower) readCategories(ctx context.Context) ([]menu.Category, error) {
	if sh.tenant.Restaurant.MerchantID == "" {
		return nil, nil
	}
	categories, source, err := sh.Menu.Categories(ctx, sh.tenant.Restaurant.MerchantID)
	return read(ctx, sh, categories, source, err)
}

func (sh *shower) readBranches(ctx context.Context) ([]menu.Branch, error) {
	if sh.tenant.Restaurant.MerchantID == "" {
		return nil, nil
	}
	branches, source, err := sh.Menu.Branches(ctx, sh.tenant.Restaurant.MerchantID)
	return read(ctx, sh, branches, source, err)
}

// onPage adds the list of a page to a content. If there is no such page, it adds the first page's list.
func onPage(c Content, pages []listpicker.List, page int) Content {
	if len(pages) == 0 {
		return c
	}
	if page < 1 || page > len(pages) {
		page = 1
	}
	c.List = &pages[page-1]
	if page > 1 {
		c.TemplateSID, c.Variables = "", nil // a template shows only the first page
	}
	return c
}

// template returns the SID of the list template with that number of rows; "" if there is none.
func (sh *shower) template(key string, rows int) string {
	if sid := sh.ListTemplates[key+"_"+strconv.Itoa(rows)]; sid != "" {
		return sid
	}
	if rows == templateRows {
		return sh.ListTemplates[key]
	}
	return ""
}

func (sh *shower) menu(ctx context.Context, page int) (Content, error) {
	categories, err := sh.readCategories(ctx)
	if err != nil {
		return Content{}, err
	}
	sid := sh.template(TemplateCategories, len(categories))
	c := categoriesContent(sh.tenant.Restaurant.Name, sid, sh.language, categories)
	return onPage(c, listpicker.Menu(categories, sh.language), page), nil
}

func (sh *shower) branches(ctx context.Context, page int) (Content, error) {
	branches, err := sh.readBranches(ctx)
	if err != nil {
		return Content{}, err
	}
	sid := sh.template(TemplateBranches, len(branches))
	c := branchesContent(sh.tenant.Restaurant.Name, sid, sh.language, branches)
	return onPage(c, listpicker.Branches(branches, sh.language), page), nil
}

// branch shows a branch, and remembers that the customer chose it.
func (sh *shower) branch(ctx context.Context, row listpicker.Row) (Content, error) {
	branches, err := sh.readBranches(ctx)
	if err != nil {
		return Content{}, err
	}
	i := slices.Index(listpicker.BranchKeys(branches), row.Branch)
	if i < 0 {
		return sh.branches(ctx, 1)
	}
	if sh.Choices != nil {
		sh.Choices.Choose(ctx, sh.tenant.Restaurant.ID, sh.customer, row.Branch)
	}
	return branchContent(branches[i], sh.language), nil
}

// products shows the products of a category, or a single product.
func (sh *shower) products(ctx context.Context, row listpicker.Row) (Content, error) {
	categories, err := sh.readCategories(ctx)
	if err != nil {
		return Content{}, err
	}
	i := slices.Index(listpicker.CategoryKeys(categories), row.Category)
	if i < 0 || sh.Products == nil {
		return sh.menu(ctx, 1)
	}
	branchKey, branchID := sh.branchFor(ctx, row)
	products, source, err := sh.Products.Products(ctx, sh.tenant.Restaurant.MerchantID, categories[i].ID, branchID)
	if products, err = read(ctx, sh, products, source, err); err != nil {
		return Content{}, err
	}
	if row.Kind == listpicker.KindProduct {
		if n := slices.Index(listpicker.ProductKeys(products), row.Product); n >= 0 {
			return productContent(products[n], sh.language), nil
		}
	}
	c := productsContent(categories[i], sh.language, products)
	pages := listpicker.Products(categories[i], row.Category, branchKey, products, sh.language)
	return onPage(c, pages, max(row.Page, 1)), nil
}

// branchFor returns the key and id of the branch that the row names, or otherwise of the branch that the customer chose. An
// unknown branch becomes the first branch. If branches can't be read, the category is shown for no particular branch.
func (sh *shower) branchFor(ctx context.Context, row listpicker.Row) (key, id string) {
	branches, err := sh.readBranches(ctx)
	if err != nil {
		sh.log.LogAttrs(ctx, slog.LevelWarn, "branches not read: the products of no particular branch are shown", slog.Any("error", err))
	}
	if len(branches) == 0 {
		return listpicker.NoBranch, ""
	}
	wanted := row.Branch
	if wanted == "" && sh.Choices != nil {
		wanted = sh.Choices.Chosen(ctx, sh.tenant.Restaurant.ID, sh.customer)
	}
	keys := listpicker.BranchKeys(branches)
	i := max(slices.Index(keys, wanted), 0)
	return keys[i], branches[i].ID
}

// sendList sends a list, and returns false if text should be sent instead.
func (s *Service) sendList(ctx context.Context, log *slog.Logger, t Tenant, to receiver, list listpicker.List) (bool, error) {
	if s.Lists == nil {
		return false, nil
	}
	making, cancel := context.WithTimeout(ctx, listPatience)
	sid, err := s.Lists.SID(making, t.Bot.TwilioAccountSID, list)
	cancel()
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "list not made: the answer is sent as text", slog.String("list", list.Name()), slog.Any("error", err))
		return false, nil
	}
	_, err = s.sendOne(ctx, log, t, s.outgoing(to, Outgoing{Kind: delivery.List, Category: delivery.Service, ContentSID: sid}))
	if !errors.Is(err, ErrTemplateRejected) {
		return true, err
	}
	log.LogAttrs(ctx, slog.LevelWarn, "list rejected: the answer is sent as text", slog.String("contentSid", sid), slog.Any("error", err))
	if err := s.Lists.Forget(ctx, t.Bot.TwilioAccountSID, list); err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "rejected list not removed from the cache: the next answer tries it again", slog.Any("error", err))
	}
	return false, nil
}
