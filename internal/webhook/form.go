package webhook

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/phone"
)

// Limits of a form's parts, in bytes. WhatsApp's longest text has 4,096 characters of at most four bytes. Names and buttons are
// shorter than a line.
const (
	maxBody      = 64 << 10
	maxText      = 16 << 10
	maxShort     = 256
	maxMessageID = 64
)

// form is a form posted by Twilio.
type form struct {
	values url.Values // exactly as sent, because the signature covers them
}

// readForm returns the form in a request's body, without the parameters of its query. It fails if the body is longer than
// most, in bytes.
func readForm(r *http.Request, most int64) (form, error) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		mediaType != "application/x-www-form-urlencoded" {
		return form{}, errNoForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, most))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return form{}, errTooLarge
	}
	if err != nil {
		return form{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return form{}, errMalformed // the parser's own error would quote the text
	}
	return form{values}, nil
}

// only returns the parameter's single value. A parameter given twice has no clear meaning and counts as "".
func (f form) only(name string) string {
	if given := f.values[name]; len(given) == 1 {
		return given[0]
	}
	return ""
}

// text returns a parameter as valid UTF-8, cut to most bytes.
func (f form) text(name string, most int) string {
	s := strings.ToValidUTF8(f.only(name), "\uFFFD")
	if len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// claims returns log attributes with the bot's number and the Twilio account that an unsigned form names. A text that is
// neither a number nor a SID is left out, because anybody may have written it.
func (f form) claims() (claimed []slog.Attr) {
	bot := "To"
	if f.kind() == KindStatus {
		bot = "From" // a status concerns a message from the bot
	}
	if number, err := phone.Parse(f.only(bot)); err == nil {
		claimed = append(claimed, slog.String("claimedBot", number))
	}
	if account := f.only("AccountSid"); len(account) == sidLength && twilioSID(account) {
		claimed = append(claimed, slog.String("claimedAccountSid", account))
	}
	return claimed
}

// incoming returns the message in a signed form. A message that a customer wrote from an ad has the ad's ReferralSourceId or
// ReferralCtwaClid (Twilio, "Twilio's request to your incoming message Webhook URL").
func (f form) incoming() (conversation.Incoming, error) {
	sender, userID, err := f.sender()
	if err != nil {
		return conversation.Incoming{}, err
	}
	id := f.only("MessageSid")
	if !validMessageID(id) {
		return conversation.Incoming{}, errMessageID
	}
	return conversation.Incoming{
		MessageID:     id,
		Customer:      sender,
		UserID:        userID,
		ProfileName:   f.text("ProfileName", maxShort),
		Body:          f.text("Body", maxText),
		ButtonPayload: f.text("ButtonPayload", maxShort),
		ButtonText:    f.text("ButtonText", maxShort),
		ListID:        f.text("ListId", maxShort),
		ListTitle:     f.text("ListTitle", maxShort),
		OptOutType:    f.text("OptOutType", maxShort),
		FromAd:        f.only("ReferralSourceId") != "" || f.only("ReferralCtwaClid") != "",
	}, nil
}

// sender returns the sender's id, and the user id if the form has it in addition to the number.
//
// Twilio sends the user id as ExternalUserId. If the customer hides the number, From has the user id or is missing. An
// unreadable ExternalUserId is ignored, so that the message isn't lost (nyaruka/courier #1000, chatwoot/chatwoot #14436).
func (f form) sender() (id, userID string, err error) {
	if given, err := customer.Parse(f.only("ExternalUserId")); err == nil && customer.IsUserID(given) {
		userID = given
	}
	from := f.values["From"]
	if len(from) == 0 || len(from) == 1 && (from[0] == "" || from[0] == whatsApp) {
		if userID == "" {
			return "", "", errSender
		}
		return userID, "", nil
	}
	if id, err = customer.Parse(f.only("From")); err != nil {
		return "", "", errSender
	}
	if customer.IsUserID(id) {
		userID = ""
	}
	return id, userID, nil
}

const sidLength = len("SM") + 32 // Twilio's ids are two capital letters and 32 hexadecimal digits

// validMessageID reports whether id can be a message's id.
//
// Twilio signs names and values without anything between them. So an attacker with a signed form can append the next
// parameter to the id without changing the signature: the id "SM…0" followed by the parameter NumMedia=0 is signed like the
// id "SM…0NumMedia0". That would count as another message. So nothing may follow a complete Twilio id.
func validMessageID(id string) bool {
	if id == "" || len(id) > maxMessageID {
		return false
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return len(id) <= sidLength || !twilioSID(id[:sidLength])
}

func twilioSID(id string) bool {
	return 'A' <= id[0] && id[0] <= 'Z' && 'A' <= id[1] && id[1] <= 'Z' && strings.Trim(id[2:], "0123456789abcdef") == ""
}
