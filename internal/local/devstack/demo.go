package devstack

import (
	"cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/local/demo"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// demoBody is the data that the page gets from the stack: credentials for the API, and everything needed to write to the
// example restaurant.
type demoBody struct {
	AdminKey         string         `json:"adminKey"`
	OwnerToken       string         `json:"ownerToken"`
	RestaurantID     string         `json:"restaurantId"`
	RestaurantName   string         `json:"restaurantName"`
	RestaurantNumber string         `json:"restaurantNumber"`
	WebhookURL       string         `json:"webhookUrl"`      // the address for which webhooks are signed
	TwilioAuthToken  string         `json:"twilioAuthToken"` // the key with which webhooks are signed
	Templates        []templateBody `json:"templates"`
}

// templateBody is a message template as a customer sees it: a text with variables such as {{1}}, and buttons.
type templateBody struct {
	SID     string       `json:"sid"`
	Body    string       `json:"body"`
	Buttons []buttonBody `json:"buttons"`
}

type buttonBody struct {
	Title   string `json:"title"`
	Payload string `json:"payload"`
}

const welcomeBody = "أهلًا وسهلًا بك يا {{2}} في {{1}}! كيف يمكننا خدمتك؟\n\n" +
	"Hello {{2}}, welcome to {{1}}! How can we help?"

// quotaAlertBody begins and ends with words and not with variables, as WhatsApp demands of a template
// (https://www.twilio.com/docs/whatsapp/tutorial/message-template-approvals-statuses).
const quotaAlertBody = "تنبيه: استخدم {{1}} نسبة {{2}}% من محادثات هذا الشهر ({{3}} من {{4}}).\n\n" +
	"Notice: {{1}} has used {{2}}% of this month's conversations ({{3}} of {{4}})."

// approvedTemplates returns the templates that a local stack's Twilio knows, by SID.
func approvedTemplates() map[string]sandbox.Template {
	approved := make(map[string]sandbox.Template)
	for _, key := range templates {
		approved[contentSID(key)] = sandbox.Template{}
	}
	approved[contentSID(conversation.TemplateWelcome)] = sandbox.Template{
		Body: welcomeBody, Samples: map[string]string{"1": "Sufrah", "2": "dear guest"},
	}
	approved[contentSID(conversation.TemplateQuotaAlert)] = sandbox.Template{
		Body: quotaAlertBody, Samples: map[string]string{"1": "Sufrah", "2": "80", "3": "800", "4": "1000"},
	}
	return approved
}

func (s *Stack) demo() demoBody {
	return demoBody{
		AdminKey: demo.AdminKey, OwnerToken: demo.ExampleToken,
		RestaurantID: demo.ExampleID, RestaurantName: demo.ExampleName, RestaurantNumber: demo.ExampleNumber,
		WebhookURL: cmp.Or(s.WebhookURL, s.BaseURL+webhook.Path), TwilioAuthToken: TwilioAuthToken,
		Templates: []templateBody{{
			SID:     contentSID(conversation.TemplateWelcome),
			Body:    welcomeBody,
			Buttons: []buttonBody{{"القائمة · Menu", "browse_menu"}, {"الفروع · Branches", "branches"}},
		}},
	}
}
