package webhook_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

const fakeSID = "SMffffffffffffffffffffffffffffffff"

// recutOf returns cut after checking that it has the signature of the genuine form.
func recutOf(t *testing.T, genuine, cut url.Values) url.Values {
	t.Helper()
	if twilio.Signature("k", publicURL, genuine) != twilio.Signature("k", publicURL, cut) {
		t.Fatalf("the form cut anew has another signature than the genuine one, so this case proves nothing:\n%v\n%v", genuine, cut)
	}
	return cut
}

// TestFormCutAnewIsRefused: a stranger makes other parameters of a captured form's signed text, so that its signature stays
// valid.
func TestFormCutAnewIsRefused(t *testing.T) {
	t.Parallel()
	base := func(changes url.Values) url.Values {
		form := url.Values{
			"AccountSid": {masterSID}, "ApiVersion": {"2010-04-01"}, "From": {"whatsapp:+966500000009"}, "MessageSid": {messageSID},
			"NumMedia": {"0"}, "SmsMessageSid": {messageSID}, "SmsSid": {messageSID}, "To": {"whatsapp:" + exampleNumber}, "WaId": {"966500000009"},
		}
		for name, values := range changes {
			if form[name] = values; values == nil {
				delete(form, name)
			}
		}
		return form
	}
	tail := "Fromwhatsapp:+966500000009MessageSid" + messageSID + "NumMedia0SmsMessageSid" + messageSID + "SmsSid" + messageSID + "Towhatsapp:" + exampleNumber + "WaId966500000009"
	for name, test := range map[string]struct{ genuine, cut url.Values }{
		"another customer, restaurant and message": {
			base(url.Values{"Body": {"xFromwhatsapp:+966500000001MessageSid" + fakeSID + "Towhatsapp:" + inactiveNumber + "Z"}}),
			url.Values{
				"AccountSid": {masterSID}, "ApiVersion": {"2010-04-01"}, "Body": {"x"}, "From": {"whatsapp:+966500000001"},
				"MessageSid": {fakeSID}, "To": {"whatsapp:" + inactiveNumber}, "Z": {tail},
			},
		},
		"the rest in a name": {
			base(url.Values{"Body": {"xFromwhatsapp:+966500000001MessageSid" + fakeSID + "Towhatsapp:" + inactiveNumber + "Z"}}),
			url.Values{
				"AccountSid": {masterSID}, "ApiVersion": {"2010-04-01"}, "Body": {"x"}, "From": {"whatsapp:+966500000001"},
				"MessageSid": {fakeSID}, "To": {"whatsapp:" + inactiveNumber}, "Z" + tail: {""},
			},
		},
		"the rest across two parameters": {
			base(url.Values{"Body": {"xFromwhatsapp:+966500000001MessageSid" + fakeSID + "Towhatsapp:" + inactiveNumber + "Z"}}),
			url.Values{
				"AccountSid": {masterSID}, "ApiVersion": {"2010-04-01"}, "Body": {"x"}, "From": {"whatsapp:+966500000001"},
				"MessageSid": {fakeSID}, "To": {"whatsapp:" + inactiveNumber}, "Z": {"Fr"}, tail[2:]: {""},
			},
		},
		"another customer only": {
			base(url.Values{"Body": {"xFromwhatsapp:+966500000001L"}}),
			base(url.Values{"Body": {"x"}, "From": {"whatsapp:+966500000001"}, "LFrom": {"whatsapp:+966500000009"}}),
		},
		"a user id as the customer": {
			base(url.Values{"Body": {"xFromwhatsapp:" + userID + "L"}}),
			base(url.Values{"Body": {"x"}, "From": {"whatsapp:" + userID}, "LFrom": {"whatsapp:+966500000009"}}),
		},
		"another user id beside the number": {
			base(url.Values{"Body": {"xExternalUserIdSA.99"}, "ExternalUserId": {userID}}),
			base(url.Values{"Body": {"x"}, "ExternalUserId": {"SA.99"}, "ExternalUserIdS": {userID[1:]}}),
		},
		"another message only": {
			base(url.Values{"Label": {"xMessageSid" + fakeSID + "OriginalReplied"}}),
			func() url.Values {
				form := base(url.Values{"Label": {"x"}, "MessageSid": {fakeSID}, "NumMedia": nil})
				form.Set("OriginalRepliedMessageSid", messageSID+"NumMedia0")
				return form
			}(),
		},
		"another restaurant only": {
			base(url.Values{"ProfileName": {"x"}, "SmsStatus": {"received"}, "Subject": {"xTowhatsapp:" + inactiveNumber + "U"}}),
			base(url.Values{"ProfileName": {"x"}, "SmsStatus": {"received"}, "Subject": {"x"}, "To": {"whatsapp:" + inactiveNumber}, "UTo": {"whatsapp:" + exampleNumber}}),
		},
		"a status turned into a message": {
			status(url.Values{"ChannelToAddress": nil, "ChannelStatusMessage": {"xFromwhatsapp:+966500000001MessageSid" + fakeSID + "Towhatsapp:" + exampleNumber + "Z"}}),
			func() url.Values {
				form := status(url.Values{"ChannelToAddress": nil, "ChannelStatusMessage": {"x"}})
				rest := "Z"
				for _, name := range []string{"From", "MessageSid", "MessageStatus", "SmsSid", "SmsStatus", "StructuredMessage", "To"} {
					rest += name + form.Get(name)
					form.Del(name)
				}
				form.Set("From", "whatsapp:+966500000001")
				form.Set("MessageSid", fakeSID)
				form.Set("To", "whatsapp:"+exampleNumber)
				form.Set("Z", rest[1:])
				return form
			}(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			wantRefusal(t, f.do(post(recutOf(t, test.genuine, test.cut))), 403, "forbidden")
			if len(f.inbox.received) > 0 {
				t.Errorf("a stranger's form, cut anew under a captured signature, reached the bot: %v", f.inbox.received)
			}
			if line := f.line(t); !strings.Contains(fmt.Sprint(line["error"]), "also fits another reading") {
				t.Errorf("a form cut anew is logged as %v, want the error to say that it also fits another reading", line)
			}
		})
	}
}

// TestMessageMayMentionParameters: a person may write the parameters' names.
func TestMessageMayMentionParameters(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"From Riyadh To Jeddah", "FromTo", "MessageSid", "What is MessageSid SM0123456789abcdef0123456789abcdef?", "From: whatsapp, To: you",
		"MessageSid: " + messageSID, "From=whatsapp:+966500000001&To=whatsapp:" + exampleNumber, "https://wa.me/966500000001",
		"From whatsapp:+966500000001", "AccountSid AC", messageSID, "whatsapp:" + exampleNumber, "To whatsapp:" + exampleNumber,
		"SmsStatus MessageStatus delivered", "my ExternalUserId is " + userID, "ExternalUserId: SA.1",
	} {
		for _, name := range []string{"Body", "ProfileName", "ButtonText", "Label"} {
			f := setup(t)
			w := f.do(post(message(url.Values{name: {body}, "OriginalRepliedMessageSid": {fakeSID}, "OriginalRepliedMessageSender": {"whatsapp:" + exampleNumber}})))
			if wantEmpty(t, w); len(f.inbox.received) != 1 {
				t.Errorf("a customer's message with %s %q reached the bot as %v, want once: it only mentions parameters", name, body, f.inbox.received)
			}
		}
	}
}
