package conversation

import "time"

// Session is the latest session of one customer with one restaurant, as it moves between systems. It was counted where
// it was opened: whoever takes it over counts nothing.
type Session struct {
	RestaurantID  string
	Customer      string // E.164, or a BSUID where the number isn't known
	UserID        string // the BSUID of a customer with a number, or ""
	OpenedAt      time.Time
	LastMessageAt time.Time
	Messages      int64 // the customer's in the session
	Welcomed      bool  // no welcome is due to the customer any more
	OptedOut      bool  // the customer is to be sent nothing. Without a session, the times are zero
}

// Merge returns the one of two sessions of a customer that goes on: the one with the later message. Whether the
// customer was welcomed is what s says, since s is what the welcome is sent by.
func (s Session) Merge(other Session) Session {
	if !other.LastMessageAt.After(s.LastMessageAt) {
		return s
	}
	other.Welcomed = s.Welcomed
	other.OptedOut = other.OptedOut || s.OptedOut
	return other
}
