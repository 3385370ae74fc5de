package conversation

import "time"

// Session is a customer's latest session with a restaurant, as it moves between systems. The system that opened it has
// counted it: a system that takes it over counts nothing.
type Session struct {
	RestaurantID  string
	Customer      string // E.164, or a BSUID if the number isn't known
	UserID        string // the BSUID of a customer with a number, or ""
	OpenedAt      time.Time
	LastMessageAt time.Time
	Messages      int64 // the customer's in the session
	Welcomed      bool  // no welcome is due to the customer any more
	OptedOut      bool  // the customer is to be sent nothing. Without a session, the times are zero
}

// Merge returns the session with the later message of a customer's two sessions. Welcomed is always that of s, because
// the welcome is sent by the system that s belongs to. If the other session is later, the result is opted out if either
// is.
func (s Session) Merge(other Session) Session {
	if !other.LastMessageAt.After(s.LastMessageAt) {
		return s
	}
	other.Welcomed = s.Welcomed
	other.OptedOut = other.OptedOut || s.OptedOut
	return other
}
