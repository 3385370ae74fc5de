package conversation

import (
	"regexp"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/listpicker"
)

// ourRow matches row ids of our lists, in any version.
var ourRow = regexp.MustCompile(`^v[0-9]+/`)

// wishOf returns the row that a message asks for, and false if it asks for nothing. A request in words is the first page of
// the menu or of the branches. If a tapped row isn't ours, or its id is of another version, the customer gets the current
// list.
func wishOf(in Incoming) (listpicker.Row, bool) {
	if in.OptOutType != "" { // Twilio has answered the keyword
		return listpicker.Row{}, false
	}
	if row, ok := listpicker.ParseRow(in.ListID); ok {
		return row, true
	}
	row := listpicker.Row{Language: LanguageOf(in), Kind: listpicker.KindMenu, Page: 1}
	intent := NoIntent
	if !ourRow.MatchString(in.ListID) { // the title of our row is a dish's name, which requests nothing
		intent = IntentOf(in)
	}
	switch {
	case intent == AsksForBranches, intent == NoIntent && strings.Contains(in.ListID, "branch"):
		row.Kind = listpicker.KindBranches
	case intent == NoIntent && in.ListID == "":
		return listpicker.Row{}, false
	}
	return row, true
}
