package conversation

import "time"

// Session is a customer's latest session with a restaurant, in the form that moves between systems. The system that opened
// the session has counted it; a system that takes it over doesn't count it again.
type Session struct {
	RestaurantID  string
	Customer      string // E.164, or a BSUID if the number is unknown
	UserID        string // the BSUID of a customer with a number, or ""
	OpenedAt      time.Time
	LastMessageAt time.Time
	Messages      int64 // number of the customer's messages in the session
	Welcomed      bool  // the welcome was sent or given up
	OptedOut      bool  // nothing may be sent to the customer; without a session, the times are zero
}

// Merge joins a customer's two sessions: the result is the session with the later message, with two exceptions. Welcomed is
// always that of s, because the system of s sends the welcome. If other has the later message, the result is opted out if s
// or other is.
func (s Session) Merge(other Session) Session {
	if !other.LastMessageAt.After(s.LastMessageAt) {
		return s
	}
	other.Welcomed = s.Welcomed
	other.OptedOut = other.OptedOut || s.OptedOut
	return other
}
