package conversation

import (
	"regexp"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/listpicker"
)

// ourRow is the form of row ids of any version.
var ourRow = regexp.MustCompile(`^v[0-9]+/`)

// wishOf returns what a message asks for as the row that would ask for it, or false where it asks for nothing. A tapped row
// that is not, or no longer, one of ours gets the current list.
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
