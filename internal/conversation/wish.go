package conversation

import (
	"regexp"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/listpicker"
)

// ourRow is the form of row ids of any version.
var ourRow = regexp.MustCompile(`^v[0-9]+/`)

// wishOf returns a message's request as the row that asks for the same, or false if it asks for nothing. A tapped row that
// isn't ours, or no longer is, gets the current list.
func wishOf(in Incoming) (listpicker.Row, bool) {
	if in.OptOutType != "" { // Twilio has answered its keyword
		return listpicker.Row{}, false
	}
	if row, ok := listpicker.ParseRow(in.ListID); ok {
		return row, true
	}
	row := listpicker.Row{Language: LanguageOf(in), Kind: listpicker.KindMenu, Page: 1}
	intent := NoIntent
	if !ourRow.MatchString(in.ListID) { // the title of a row of ours is a dish's name, and no wish
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
