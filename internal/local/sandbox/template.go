package sandbox

import (
	"encoding/json"
	"maps"
	"strings"
	"unicode/utf8"
)

// Template is a content approved by WhatsApp: a text with variables such as {{1}}.
type Template struct {
	Body    string
	Samples map[string]string // by variable
}

// Approve adds an approved template. After the first one, unknown SIDs are refused.
func (t *Twilio) Approve(sid string, template Template) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.approved == nil {
		t.approved = make(map[string]Template)
	}
	t.approved[sid] = template
}

// parseVariables parses ContentVariables, a JSON object. Twilio refuses a value that is null or empty, or has a line break, a
// tab or more than four consecutive spaces (https://www.twilio.com/docs/api/errors/21656).
func parseVariables(raw string) (map[string]string, *twilioError) {
	if raw == "" {
		return nil, nil
	}
	refusal := badRequest(21656, "The ContentVariables Parameter is invalid.")
	var given map[string]*string
	if json.Unmarshal([]byte(raw), &given) != nil {
		return nil, refusal
	}
	variables := make(map[string]string, len(given))
	for name, value := range given {
		if value == nil || strings.TrimSpace(*value) == "" || strings.ContainsAny(*value, "\r\n\t") || strings.Contains(*value, "     ") {
			return nil, refusal
		}
		variables[name] = *value
	}
	return variables, nil
}

// fill sets the variables that a message lacks to the template's samples ("If a value is omitted, Twilio uses the template's
// default placeholder value", https://www.twilio.com/docs/api/errors/21656). It refuses an unknown SID
// (https://www.twilio.com/docs/api/errors/21655), a variable with neither value nor sample, and a text that is longer than
// 1,600 characters with its variables (https://www.twilio.com/docs/api/errors/21617).
func (t *Twilio) fill(message *SentMessage) *twilioError {
	t.mu.Lock()
	defer t.mu.Unlock()
	template, known := t.approved[message.ContentSID]
	switch {
	case t.approved == nil:
		return nil
	case !known:
		return badRequest(21655, "The ContentSid Parameter is invalid.")
	}
	variables := maps.Clone(template.Samples)
	if variables == nil {
		variables = make(map[string]string)
	}
	maps.Copy(variables, message.ContentVariables)
	text := template.Body
	for _, variable := range variablePattern.FindAllStringSubmatch(template.Body, -1) {
		value := variables[variable[1]]
		if value == "" {
			return badRequest(21656, "The ContentVariables Parameter is invalid.")
		}
		text = strings.ReplaceAll(text, variable[0], value)
	}
	if utf8.RuneCountInString(text) > maxTextRunes {
		return badRequest(21617, "The concatenated message body exceeds the 1600 character limit")
	}
	if len(variables) > 0 {
		message.ContentVariables = variables
	}
	message.Text = text
	return nil
}
