package webhook

import (
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/phone"
)

// whatsApp is the prefix of WhatsApp's numbers and ids.
const whatsApp = "whatsapp:"

// Kind is the subject of a signed form. Only a Message has an effect. Everything else is acknowledged, so that Twilio doesn't
// repeat it.
type Kind string

// The kinds.
const (
	KindMessage  Kind = "message"  // from a customer, over WhatsApp
	KindStatus   Kind = "status"   // the status of a message that we sent
	KindSMS      Kind = "sms"      // a text message to a number that also has WhatsApp
	KindOther    Kind = "other"    // over another channel: messenger:, rcs:
	KindReaction Kind = "reaction" // an emoji on a message of ours
	KindSystem   Kind = "system"   // a notice of WhatsApp's, such as that the customer's number has changed
	KindOwn      Kind = "own"      // a message from one of our own bots' numbers
	KindInactive Kind = "inactive" // a message to a restaurant that isn't active
)

// kind returns the form's kind, as far as it follows from the form alone.
//
// A status callback has MessageStatus, and usually SmsStatus too; a customer's message has SmsStatus=received (Twilio, "Track
// outbound message status", "Twilio's request to your webhook"). MessageType is WhatsApp's type of the message.
func (f form) kind() Kind {
	switch status := strings.ToLower(f.values.Get("SmsStatus")); {
	case f.values.Has("MessageStatus"), status != "" && status != "received":
		return KindStatus
	}
	from, to := f.only("From"), f.only("To")
	for _, address := range []string{from, to} {
		switch {
		case hasChannel(address, whatsApp):
		case isNumber(address):
			return KindSMS
		case strings.IndexByte(address, ':') > 0:
			return KindOther
		}
	}
	switch strings.ToLower(f.only("MessageType")) {
	case "reaction":
		return KindReaction
	case "system", "notification", "ephemeral", "unsupported", "unknown":
		return KindSystem
	}
	return KindMessage
}

func hasChannel(address, channel string) bool {
	address = strings.TrimSpace(address)
	return len(address) >= len(channel) && strings.EqualFold(address[:len(channel)], channel)
}

// isNumber reports whether an address is a phone number or a short code, as text messages have.
func isNumber(address string) bool {
	if _, err := phone.Parse(address); err == nil {
		return true
	}
	return address != "" && len(address) <= 11 && strings.Trim(address, "0123456789") == ""
}
