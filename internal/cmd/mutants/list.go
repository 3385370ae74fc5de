package main

// mutant is one line that was written wrong. from must be in the file exactly once.
type mutant struct {
	what     string // goes wrong
	file     string
	from, to string
	suites   []string // the packages whose tests must notice
	tests    string   // which of them, where all would take long; a regular expression
}

// list has lines of every kind of care that the system takes: conditions, bounds, retries, authorisation, secrecy.
var list = []mutant{
	// Who may read what.
	{"a token covers every restaurant", "internal/credential/credential.go",
		"slices.Contains(c.Restaurants, restaurantID)", "len(c.Restaurants) > 0", []string{"internal/credential", "internal/usageapi"}, ""},
	{"a token is good on the moment of its expiry", "internal/credential/credential.go",
		"!now.Before(c.ExpiresAt):", "now.After(c.ExpiresAt):", []string{"internal/credential"}, ""},
	{"a revoked credential is good", "internal/credential/credential.go",
		"case !c.RevokedAt.IsZero() && !now.Before(c.RevokedAt):", "case false:", []string{"internal/credential"}, ""},
	{"a token passes for a key", "internal/credential/authenticator.go",
		" || c.Kind != kind {", " {", []string{"internal/credential"}, ""},
	{"the store's word is not compared with the hash", "internal/credential/authenticator.go",
		"ConstantTimeCompare(c.Hash[:], hash[:]) != 1 ||", "ConstantTimeCompare(c.Hash[:], hash[:]) > 1 ||", []string{"internal/credential"}, ""},
	{"a credential is cached for longer than it may be", "internal/credential/authenticator.go",
		"age >= MaxCacheAge", "age > MaxCacheAge", []string{"internal/credential"}, ""},
	{"a token reads an administrator's route", "internal/usageapi/api.go",
		"presented.kind != credential.APIKey", "false", []string{"internal/usageapi"}, ""},
	{"a token reads any restaurant", "internal/usageapi/api.go",
		"case !holder.Covers(restaurantID):", `case !holder.Covers(restaurantID) && restaurantID == "":`, []string{"internal/usageapi"}, ""},
	{"both credentials at once are taken", "internal/usageapi/request.go",
		`case authorization != "" && apiKey != "":`, "case false:", []string{"internal/usageapi"}, ""},

	// What Twilio signed.
	{"a wrong signature is taken", "internal/twilio/signature.go",
		"return valid == 1", "return true", []string{"internal/twilio"}, ""},
	{"the second value of a parameter isn't signed", "internal/twilio/signature.go",
		"slices.Compact(slices.Sorted(slices.Values(form[name])))", "form[name][:1]", []string{"internal/twilio"}, ""},
	{"nobody needs a signature", "internal/webhook/webhook.go",
		"if twilio.ValidSignature(token, url, f.values, signatures[0]) {", `if token != "" {`, []string{"internal/webhook"}, ""},
	{"a message's id swallows the parameter behind it", "internal/webhook/form.go",
		"return len(id) <= sidLength || !twilioSID(id[:sidLength])", "return true", []string{"internal/webhook"}, ""},
	{"a parameter given twice is taken", "internal/webhook/form.go",
		"len(given) == 1", "len(given) >= 1", []string{"internal/webhook"}, ""},
	{"digits that only look alike are taken", "internal/phone/phone.go",
		"case '0' <= c && c <= '9':", "case '0' <= c && c <= '9', '٠' <= c && c <= '٩':", []string{"internal/phone"}, ""},

	// Counting exactly once.
	{"a repeated message is a new one", "internal/dynamo/conversation.go",
		`condition: "attribute_not_exists(#entry) OR #received <= :forgotten",`,
		`condition: "(attribute_not_exists(#entry) OR #received <= :forgotten OR NOT #entry = :forgotten)",`, []string{"internal/dynamo"}, "TestRecorderContract$"},
	{"a session may be opened over another one", "internal/dynamo/conversation.go",
		`session = session.and(expression{condition: "#last = :seen", values: item{":seen": seen[attrLastMessage]}})`,
		`_ = attrLastMessage`, []string{"internal/dynamo"}, "TestRecorderContract$"},
	{"a session is extended after its end", "internal/dynamo/conversation.go",
		`condition: "#last < :at AND #last > :closed",`, `condition: "#last < :at AND NOT #last = :closed",`, []string{"internal/dynamo"}, "TestRecorderContract$"},
	{"a reply is sent while another delivery sends it", "internal/dynamo/conversation.go",
		`(attribute_not_exists(#lease) OR #until <= :now OR #lease = :delivery)`,
		`(attribute_not_exists(#lease) OR NOT #until = :now OR #lease = :delivery)`, []string{"internal/dynamo"}, "TestRecorderContract$"},
	{"conflicts of transactions aren't tried again", "internal/dynamo/store.go",
		"if !isConflict(err) || attempt == conflictAttempts {", "if true {", []string{"internal/dynamo"}, "Conflict"},
	{"what a batch left undone is forgotten", "internal/dynamo/batch.go",
		"if err != nil || left == 0 {", "if err != nil || left >= 0 {", []string{"internal/dynamo"}, "InParts"},
	{"reads may be old", "internal/dynamo/batch.go",
		"consistent := true", "consistent := false", []string{"internal/dynamo"}, "TestReadsAreConsistent"},
	{"what remains may be below 0", "internal/usage/allowance.go",
		"max(0, monthlyLimit-thisMonth)", "monthlyLimit - thisMonth", []string{"internal/usage"}, ""},

	// Jobs and their pace.
	{"a failed job is acknowledged", "internal/lambdasqs/lambdasqs.go",
		"return false\n}\n\n// attempt", "return true\n}\n\n// attempt", []string{"internal/lambdasqs"}, ""},
	{"a dead letter that wasn't sent is forgotten", "internal/lambdasqs/lambdasqs.go",
		"return err == nil", "return true", []string{"internal/lambdasqs"}, ""},
	{"a message's id is reported twice", "internal/lambdasqs/lambdasqs.go",
		"if !reported[m.MessageId] {", "if true {", []string{"internal/lambdasqs"}, ""},
	{"the backoff doesn't grow", "internal/bootstrap/worker.go",
		"backoff *= 2", "backoff *= 1", []string{"internal/bootstrap"}, ""},
	{"one list of two counts as none", "internal/bootstrap/worker.go",
		"case v.kept > 0:", "case v.kept > 1:", []string{"internal/bootstrap"}, ""},
	{"a job is tried again for ever", "internal/bootstrap/worker.go",
		"if attempt < w.Attempts {", "if true {", []string{"internal/bootstrap"}, ""},
	{"jobs come twice as fast as they may", "internal/ratelimit/limiter.go",
		"after = after + interval\n", "after = after + interval / 2\n", []string{"internal/ratelimit"}, ""},
	{"one answer more than the limit goes out", "internal/ratelimit/window.go",
		"n, err == nil) <= limit", "n, err == nil) <= limit+1", []string{"internal/ratelimit"}, ""},

	// The cache.
	{"a value is fresh for too long", "internal/cache/loader.go",
		"fresh: age < l.options.TTL}", "fresh: age <= l.options.TTL}", []string{"internal/cache"}, ""},
	{"everyone fetches at once", "internal/cache/loader.go",
		"if locked || err != nil || filled.fresh {", "if true {", []string{"internal/cache"}, ""},
	{"a stale value isn't served", "internal/cache/loader.go",
		"if err != nil && old.found {", "if err != nil && old.fresh {", []string{"internal/cache"}, ""},

	// What goes out.
	{"a welcome goes out twice for one delivery", "internal/conversation/service.go",
		"case ReplySettled:\n\t\t\treturn false, nil", "case ReplySettled:\n\t\t\treturn true, nil", []string{"internal/conversation"}, ""},
	{"a list floods the customer", "internal/conversation/reply.go",
		"texts[:min(len(texts), maxTexts)]", "texts", []string{"internal/conversation"}, ""},
	{"a redirect takes the key along", "internal/outbound/outbound.go",
		" || next.URL.Host != origin.Host {", " {", []string{"internal/outbound", "internal/sufrah"}, ""},
	{"an answer of any size is read", "internal/outbound/outbound.go",
		"if int64(len(body)) > limit {", "if false {", []string{"internal/outbound", "internal/sufrah"}, ""},
	{"the log shows whole phone numbers", "internal/logging/logging.go",
		"if len(number) < kept+last+hidden {", "if len(number) >= kept+last+hidden {\n\t\treturn number\n\t}\n\tif len(number) < kept+last+hidden {",
		[]string{"internal/logging"}, ""},
	{"an error repeats Twilio's token", "internal/twilio/error.go",
		"return strings.Contains(answer.Message, secret)", `return secret == "" && strings.Contains(answer.Message, secret)`, []string{"internal/twilio"}, ""},
}
