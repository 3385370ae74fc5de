package delivery

// Fault is the party at fault if a message wasn't sent or didn't arrive. It decides our reaction.
type Fault string

// The faults.
const (
	FaultUnknown  Fault = "unknown"
	FaultPassing  Fault = "passing"  // the same message may succeed later
	FaultContent  Fault = "content"  // the template or the text can't be sent so: the same in plain words may well be
	FaultWindow   Fault = "window"   // the customer's 24 hours are over: a text arrives once the customer has written again
	FaultReceiver Fault = "receiver" // no message reaches this receiver
	FaultOperator Fault = "operator" // no message succeeds until an operator has acted
)

// Code is our reaction to an error code of Twilio.
type Code struct {
	Fault Fault
	Alarm bool   // a single occurrence must be reported to an operator
	Means string // meaning, from https://www.twilio.com/docs/api/errors/<code>
}

// codes are the error codes of WhatsApp messages, as described at https://www.twilio.com/docs/api/errors/<code>. For codes
// that correspond to a code of Meta's, see Twilio's "List of Corresponding Twilio and WhatsApp Error Codes"
// (https://www.twilio.com/docs/whatsapp/api/error-code-mapping). Twilio reports a code in its answer to a send, or later in a
// status callback, depending on how soon it finds the fault.
var codes = map[int]Code{
	10001: {FaultOperator, true, "account is not active"},
	20003: {FaultOperator, true, "permission denied: wrong, deleted or foreign credentials, or a suspended account"},
	20005: {FaultOperator, true, "account not active"},
	63001: {FaultOperator, true, "channel could not authenticate the request (Meta 1005)"},
	63007: {FaultOperator, true, "no channel with the From address: the sender is not registered"},
	63010: {FaultOperator, true, "channel's internal configuration (Meta 1022)"},
	63020: {FaultOperator, true, "the business has not accepted Twilio's invitation, or has not paid (Meta 402)"},
	63022: {FaultOperator, true, "invalid certificate of the business's name (Meta 430, 432, 433)"},
	63038: {FaultOperator, true, "account exceeded its messages of 24 hours"},

	14107: {FaultPassing, false, "too many replies between two numbers in a short time"},
	20429: {FaultPassing, false, "too many requests"},
	21730: {FaultPassing, false, "system under maintenance"},
	63012: {FaultPassing, false, "channel provider's internal error (Meta 500)"},
	63017: {FaultPassing, true, "more messages a second than the account may send"},
	63018: {FaultPassing, true, "rate limit of the channel, or the messaging limit of the sender (Meta 429, 471)"},

	21211: {FaultReceiver, false, "invalid To number"},
	21610: {FaultReceiver, false, "the receiver has unsubscribed from this sender"},
	21614: {FaultReceiver, false, "To is not a mobile number"},
	63003: {FaultReceiver, false, "channel could not find the To address (Meta 1006, 1013, 1021)"},
	63014: {FaultReceiver, false, "blocked by the receiver"},
	63024: {FaultReceiver, false, "invalid receiver: not on WhatsApp, its terms not accepted, or its client too old (Meta 1002, 1026)"},
	63032: {FaultReceiver, false, "WhatsApp does not let this user be written to: part of an experiment (Meta 472)"},
	63033: {FaultReceiver, false, "the receiver can't get messages (Meta 1007; deprecated)"},

	21655: {FaultContent, true, "the ContentSid is invalid: mistyped, deleted, or of another account"},
	21656: {FaultContent, true, "the ContentVariables are invalid, such as an empty value or one with a line break"},
	21658: {FaultContent, true, "a parameter, such as a variable's value, is too long"},
	63005: {FaultContent, false, "channel did not accept the content (Meta 1000)"},
	63013: {FaultContent, false, "against the channel's policy, such as an empty variable or more than four spaces in one (Meta 1008, 1009)"},
	63016: {FaultContent, true, "outside the 24 hours in which this content may be sent, or a template that is not approved (Meta 470)"},
	63021: {FaultContent, false, "content that the channel rejects, such as a template that its variables make too long (Meta 1001)"},
	63027: {FaultContent, true, "the template does not exist for a language and locale (Meta 2001, 2003)"},
	63028: {FaultContent, true, "the number of variables is not the template's (Meta 2000)"},
	63029: {FaultContent, false, "the receiver failed to download the template (Meta 2002)"},
	63030: {FaultContent, true, "a parameter that the content does not have (Meta 1010)"},
	63049: {FaultContent, false, "Meta chose not to deliver a marketing template"},
}

// outsideWindow is the code of a free-form message sent "more than 24 hours after the user's last inbound message", and of
// a template that can't begin a conversation then (https://www.twilio.com/docs/api/errors/63016).
const outsideWindow = 63016

// Code returns our reaction to a report of a failed message. It knows more than CodeOf, because the origin says whether the
// message was a template.
func (r Report) Code() Code {
	switch {
	case r.ErrorCode != outsideWindow || !r.Origin.Known():
		return CodeOf(r.ErrorCode)
	case r.Origin.Template:
		return Code{FaultContent, true, "the template is not approved, or of a type that can't begin a conversation: it only arrives within the receiver's 24 hours (Meta 470)"}
	}
	return Code{FaultWindow, false, "the customer's 24 hours are over: only a template arrives until the customer writes again (Meta 470)"}
}

// CodeOf returns our reaction to a code. If the code isn't in the table, or is 0 (none), the fault is unknown.
func CodeOf(code int) Code {
	if known, ok := codes[code]; ok {
		return known
	}
	return Code{Fault: FaultUnknown}
}
