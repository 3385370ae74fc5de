package devstack

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// TwilioAuthToken signs a local stack's webhooks.
const TwilioAuthToken = "local-twilio-token"

// EventsWebhookURL is the address for which the webhooks in events are signed.
const EventsWebhookURL = "http://localhost:8080" + webhook.Path

// TwilioAccountSID is Sufrah's own account, with the token TwilioAuthToken.
var TwilioAccountSID = "AC" + digits("local")

// templates are the message templates of a local stack. Lists are not among them: the bot makes these itself.
var templates = []string{
	"WELCOME", "ORDER_TYPE", "POST_ITEM_CHOICE", "LOCATION_REQUEST", "QUANTITY", "CART_OPTIONS", "PAYMENT_OPTIONS", "RATING_LIST",
	"QUOTA_ALERT",
}

// FunctionEnvironment returns the variables, as "NAME=value", with which a compiled function runs against this stack:
// template.yaml's variables, with this stack's addresses. function is the name of its directory below functions.
func (s *Stack) FunctionEnvironment(function string) ([]string, error) {
	variables, err := s.Definition.FunctionEnvironment(logicalID(function), s.Name)
	if err != nil {
		return nil, err
	}
	for name, value := range s.addresses() {
		if _, ok := variables[name]; ok {
			variables[name] = value
		}
	}
	if variables["CACHE_TABLE"] != "" {
		variables["CACHE_ENDPOINT"] = ""
	}
	environment := []string{"AWS_REGION=" + Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local"}
	for name, value := range variables {
		environment = append(environment, name+"="+value)
	}
	return environment, nil
}

// addresses returns the variables that make a function use this stack, and nothing outside this machine.
func (s *Stack) addresses() map[string]string {
	variables := map[string]string{
		"AWS_ENDPOINT_URL_DYNAMODB":       s.BaseURL + DynamoDBPath,
		"AWS_ENDPOINT_URL_SQS":            s.BaseURL + SQSPath,
		"AWS_ENDPOINT_URL_SECRETSMANAGER": s.BaseURL + secretsPath,
		"WEBHOOK_URL":                     cmp.Or(s.WebhookURL, s.BaseURL+webhook.Path),
		"TWILIO_ACCOUNT_SID":              TwilioAccountSID,
		"TWILIO_API_BASE":                 s.BaseURL + twilioPath,
		"TWILIO_CONTENT_API_BASE":         s.BaseURL + twilioPath,
		"TWILIO_SECRET_ARN":               twilioSecret,
		"SUFRAH_API_BASE":                 s.BaseURL + sufrahPath + sandbox.SufrahBasePath,
		"SUFRAH_SECRET_ARN":               sufrahSecret,
		"BOOTSTRAP_QUEUE_URL":             s.queueURL(s.source.Queue.Name),
		"DEAD_LETTER_QUEUE_URL":           s.queueURL(s.source.Queue.DeadLetterQueue),
		"CACHE_ENDPOINT":                  s.cache.address,
		"CACHE_TLS":                       "false",
		"CACHE_CLUSTER":                   "false",
		"CACHE_USER":                      "",
		"CACHE_NAME":                      "",
	}
	var sids []string
	for _, key := range templates {
		sids = append(sids, key+"="+contentSID(key))
	}
	variables["CONTENT_SIDS"] = strings.Join(sids, ",")
	return variables
}

// The names of a local stack's secrets, and their content.
const (
	twilioSecret = "arn:aws:secretsmanager:" + Region + ":000000000000:secret:" + StackName + "/twilio"
	sufrahSecret = "arn:aws:secretsmanager:" + Region + ":000000000000:secret:" + StackName + "/sufrah"
)

var secrets = sandbox.Secrets{
	twilioSecret: fmt.Sprintf(`{%q: %q}`, TwilioAccountSID, TwilioAuthToken),
	sufrahSecret: `{"apiKey": "local-sufrah-key"}`,
}

// contentSID returns the SID of the template with the key.
func contentSID(key string) string { return "HX" + digits(strings.ToUpper(key)) }

// digits returns 32 hexadecimal digits that depend only on the name.
func digits(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// logicalID returns a function's logical id in template.yaml: "UsageApiFunction" for "usage-api".
func logicalID(function string) string {
	var id strings.Builder
	for word := range strings.SplitSeq(function, "-") {
		if word != "" {
			id.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return id.String() + "Function"
}
