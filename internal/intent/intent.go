// Package intent finds the request in a message's text.
//
// A text asks for a list if it names a topic in one of two ways: alone ("menu?", "الفروع"), or after a word that asks for it
// ("send me the menu", "وين فروعكم"). A text that merely mentions a topic asks for nothing: as the place of an event ("in the
// branch"), as the object of an unknown verb, or as the subject of a statement ("the branch is closed"). So an unknown word
// is a reason not to answer, unless it is a name or a detail of a request.
//
// Different spellings are made equal first (package spelling). Then a lexicon gives each word its class, and the rules use
// only the classes.
package intent

import (
	"unicode/utf8"

	"github.com/sufrah/usage-bootstrap/internal/spelling"
)

// Intent is a message's request.
type Intent int

// The intents that are answered automatically.
const (
	None Intent = iota
	Menu
	Branches
)

// maxLength bounds the examined text, in characters. A longer text is about something else.
const maxLength = 500

// Of returns the first request in a text.
func Of(text string) Intent {
	if utf8.RuneCountInString(text) > maxLength {
		return None
	}
	all := clauses(spelling.Fold(text))
	var read []sentence
	unknowns, reports := 0, false
	for _, texts := range all {
		for _, s := range split(readWords(texts)) {
			read = append(read, s)
			for _, w := range s {
				if w.class == unknown {
					unknowns++
				}
				reports = reports || w.class == matter
			}
		}
	}
	// In a text with a report, or with many unknown words, a topic alone is no request.
	quiet := !reports && unknowns <= maxStray
	for _, s := range read {
		if intent := s.intent(quiet); intent != None {
			return intent
		}
	}
	return None
}

const (
	maxStray   = 3 // unknown words with which a topic alone is still a request
	maxDetails = 4 // unknown words after a requested topic: a name, a place
	maxPurpose = 8 // unknown words after a requested menu: its purpose
)

// sentence has the words of a clause.
type sentence []word

// split splits a clause at its conjunctions.
func split(words []word) []sentence {
	var all []sentence
	start := 0
	for i, w := range words {
		if w.class == clause {
			all = append(all, words[start:i])
			start = i + 1
		}
	}
	return append(all, words[start:])
}

func (s sentence) intent(quiet bool) Intent {
	for i, w := range s {
		if intent := s.asks(i, w, quiet); intent != None {
			return intent
		}
	}
	if s.only(filler, about, what, have, you, foodNoun, be, wish) && s.has(what) && s.has(have) {
		return Menu // "what do you have"
	}
	if quiet && s.only(nearest, filler, you, be, about) && s.has(nearest) && s.has(you) {
		return Branches // the nearest restaurant
	}
	if quiet && s.named(1).only(filler, whereYou, where, you, be, have, at) && (s.has(whereYou) || s.has(where) && s.has(you)) {
		return Branches // where are you
	}
	return None
}

// asks returns the request for the topic at i, or None if there is no topic or the text doesn't ask for it.
func (s sentence) asks(i int, w word, quiet bool) Intent {
	before, after := s.before(i), s.after(i)
	if after.reports || after.later && !before.by[wish] || w.mine || before.mine {
		return None
	}
	switch w.class {
	case listNoun:
		return s.asksForList(i, w, before, after, quiet)
	case menuNoun:
		return menuIf(s.asksForMenu(i, w, before, after, quiet))
	case priceNoun:
		return menuIf(after.unknown == 0 && (before.governed() && !before.at || before.clean && quiet))
	case foodNoun:
		asked := before.by[wish] || before.by[have] || before.by[what] || before.by[howMuch]
		return menuIf(asked && (!before.at || before.by[have] || before.by[what]) && !before.refused() && after.unknown == 0)
	case orderNoun, orderVerb:
		return menuIf(s.asksToOrder(i, w, before, after, quiet))
	case branchNoun:
		return branchesIf(s.asksForBranch(i, w, before, after, quiet))
	case placeNoun:
		switch {
		case before.refused(), before.at, after.has[mine]:
			return None
		case before.governed():
			return branchesIf(after.unknown <= maxDetails)
		}
		return branchesIf(before.clean && quiet && after.unknown == 0 && !after.has[be])
	}
	return None
}

func (s sentence) asksForMenu(i int, w word, before, after context, quiet bool) bool {
	switch {
	case before.refused():
		return false
	case before.at && i == 1 && w.arabic && !w.definite && len(s) == 2:
		return true // "في منيو": there is
	case before.at && !before.by[what]:
		return false
	case before.governed():
		return after.unknown <= maxPurpose
	case after.has[be] || w.prefixed && len(s) > 1 && !before.clean:
		return false
	case before.clean && after.unknown == 0:
		return quiet
	case before.clean:
		return quiet && after.unknown == 1 && !s.predicate(i)
	}
	return quiet && before.unknown == 1 && before.rest && after.unknown == 0 && !w.arabic // "kids menu"
}

// asksForList returns the request for a list: a restaurant's list is its menu, unless the text says what it lists.
func (s sentence) asksForList(i int, w word, before, after context, quiet bool) Intent {
	if before.refused() || before.at && !before.by[what] {
		return None
	}
	asked := before.governed() || before.clean && quiet
	of := i + 1
	for of < len(s) && (s[of].class == filler || s[of].class == about) {
		of++
	}
	switch {
	case of < len(s) && (s[of].class == branchNoun || s[of].class == placeNoun):
		return branchesIf(asked && after.unknown <= maxDetails)
	case of < len(s) && (s[of].class == priceNoun || s[of].class == foodNoun || s[of].class == menuNoun):
		return menuIf(asked && after.unknown <= maxDetails)
	case i > 0 && (s[i-1].class == priceNoun || s[i-1].class == foodNoun):
		return menuIf(asked)
	case !w.arabic:
		return None // "waiting list"
	case of < len(s) && s[of].class == unknown && of == i+1:
		return menuIf(w.definite && before.governed() && after.unknown <= maxDetails && !s[of].definite)
	}
	return menuIf(asked && after.unknown <= maxDetails && !after.has[be])
}

func (s sentence) asksToOrder(i int, w word, before, after context, quiet bool) bool {
	switch {
	case before.refused(), before.at && !before.by[where], after.has[quantity] && w.class == orderNoun && !before.by[wish], after.has[mine]:
		return false
	case before.by[wish] || before.by[how]:
		if w.class == orderNoun && w.arabic {
			return after.unknown == 0
		}
		return after.unknown <= maxDetails
	case before.by[where] && w.class == orderVerb && w.arabic: // "where do I order"
		return after.unknown == 0
	case before.governed():
		return false
	}
	return before.clean && quiet && after.unknown == 0 && !w.definite && !after.governs && !after.has[quantity]
}

func (s sentence) asksForBranch(i int, w word, before, after context, quiet bool) bool {
	asks := before.by[where] || before.by[which] || before.by[what] || before.by[how]
	switch {
	case w.prefixed && len(s) > 1 && !asks && !before.by[nearest], before.refused():
		return false
	case before.at && i == 1 && w.arabic && !w.definite && len(s) > 2 && s[2].perhaps:
		return after.unknown <= maxDetails // "في فرع بعمان": there is
	case before.at && !before.by[nearest] && !before.by[where] && !before.by[how]:
		return false
	case asks:
		return after.unknown <= maxDetails
	case before.governed():
		return after.unknown <= maxDetails && !after.has[be]
	case !before.clean || !quiet || after.has[be]:
		return false
	case after.unknown == 0, after.has[where]:
		return true
	}
	return after.unknown <= 2 && (after.at || i+1 < len(s) && s[i+1].perhaps || w.arabic && !w.definite && i+1 < len(s) && !s.predicate(i))
}

// predicate reports whether the word after a topic makes a statement about it: in Arabic, an indefinite word after a definite
// one.
func (s sentence) predicate(i int) bool {
	next := s[i+1:]
	return s[i].definite && len(next) > 0 && next[0].arabic && next[0].class == unknown && !next[0].definite && !next[0].prefixed
}

// context is the text on one side of a topic.
type context struct {
	by      [matter + 1]bool // classes that govern the topic, with only fillers in between
	has     [matter + 1]bool
	at      bool // a preposition of place stands before the topic, or right after it
	clean   bool // only fillers and governors stand there
	rest    bool // unknown words stand next to the topic, otherwise only fillers
	mine    bool
	reports bool // it reports something
	later   bool // it names another time
	governs bool
	unknown int
}

func (c context) governed() bool {
	return c.by[wish] || c.by[where] || c.by[have] || c.by[what] || c.by[which] || c.by[how] || c.by[howMuch] || c.by[nearest]
}

// refused reports a negation that isn't part of a question: "don't send the menu", but not "ما عندكم منيو" or "ما هي
// القائمة".
func (c context) refused() bool { return c.by[not] && !c.by[have] && !c.by[be] }

func (s sentence) before(i int) context {
	c := context{clean: true}
	governing := true
	for j := i - 1; j >= 0; j-- {
		w := s[j]
		c.has[w.class] = true
		switch w.class {
		case filler, about, be, you, quantity, vocat, foodNoun, priceNoun, listNoun, placeNoun:
			c.by[w.class] = c.by[w.class] || governing
		case wish, where, have, what, which, how, howMuch, nearest, not:
			c.by[w.class] = c.by[w.class] || governing
		case at:
			c.at = c.at || governing
			c.clean = false
		case mine:
			c.mine = c.mine || governing
		default:
			if w.class == unknown && j == i-1 && s[i].class == branchNoun && !s[i].arabic {
				c.unknown++ // "the Malqa branch"
				c.rest, c.clean = true, false
				continue
			}
			if w.class == unknown {
				c.unknown++
				c.rest = j == i-1
			}
			c.clean, governing = false, false
		}
		c.reports = c.reports || w.class == matter || w.class == aside
	}
	return c
}

func (s sentence) after(i int) context {
	var c context
	for j := i + 1; j < len(s); j++ {
		w := s[j]
		c.has[w.class] = true
		switch w.class {
		case unknown:
			c.unknown++
			c.at = c.at || w.prefixed
		case at, about:
			c.at = true
		case matter, not:
			c.reports = true
		case aside:
			c.later = true
			c.unknown++
		case where, which, what, how, howMuch, have, wish:
			c.governs = true
		}
	}
	return c
}

// named returns the sentence without up to n unknown words that may be a place's name: words after "in" or ب.
func (s sentence) named(n int) sentence {
	var rest sentence
	for i, w := range s {
		if n > 0 && (w.perhaps || w.class == unknown && i > 0 && s[i-1].class == at) {
			n--
			continue
		}
		rest = append(rest, w)
	}
	return rest
}

// only reports whether all words of a sentence are of these classes.
func (s sentence) only(classes ...class) bool {
	for _, w := range s {
		found := false
		for _, c := range classes {
			found = found || w.class == c
		}
		if !found {
			return false
		}
	}
	return true
}

func (s sentence) has(c class) bool {
	for _, w := range s {
		if w.class == c {
			return true
		}
	}
	return false
}

func menuIf(asks bool) Intent {
	if asks {
		return Menu
	}
	return None
}

func branchesIf(asks bool) Intent {
	if asks {
		return Branches
	}
	return None
}
