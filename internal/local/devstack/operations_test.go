package devstack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/lambdahttp"
	"github.com/sufrah/usage-bootstrap/internal/lambdasqs"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/metrics"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/usagehttp"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// emitted is the output of a function: the fields of its log lines, by message, and its metrics.
type emitted struct {
	lines   map[string]map[string]bool
	metrics map[string]bool
}

// fields returns the fields of the lines with the given messages, of all lines if there are none.
func (e emitted) fields(messages ...string) map[string]bool {
	all := map[string]bool{}
	for message, fields := range e.lines {
		if len(messages) == 0 || slices.Contains(messages, message) {
			maps.Copy(all, fields)
		}
	}
	return all
}

// collect parses the output of functions, by the function's name.
func collect(t *testing.T, output string) map[string]emitted {
	t.Helper()
	all := map[string]emitted{}
	for line := range strings.Lines(output) {
		var root map[string]any
		if err := json.Unmarshal([]byte(line), &root); err != nil {
			t.Fatalf("%q is no line of JSON: %v", line, err)
		}
		name, _ := root["function"].(string)
		if name == "" {
			name, _ = root[metrics.Dimension].(string)
		}
		e, ok := all[name]
		if !ok {
			e = emitted{map[string]map[string]bool{}, map[string]bool{}}
			all[name] = e
		}
		if _, isMetrics := root["_aws"]; isMetrics {
			for key := range root {
				if key != "_aws" && key != metrics.Dimension {
					e.metrics[key] = true
				}
			}
			continue
		}
		message, _ := root["message"].(string)
		if e.lines[message] == nil {
			e.lines[message] = map[string]bool{}
		}
		for key := range root {
			e.lines[message][key] = true
		}
	}
	return all
}

// stories is a stack on which everything happens that operators have alarms or queries for.
type stories struct {
	*devstack.Stack
	t        *testing.T
	log      *syncBuffer
	messages int
	jobs     int
	moved    time.Duration
}

func newStories(t *testing.T, parsed *sam.Definition) *stories {
	t.Helper()
	// A high rate, so that nobody waits for slots. A long MaxAge, because await moves the stack's clock faster than this
	// machine works.
	for name, value := range map[string]string{"JobRatePerMinute": "60000", "BootstrapMaxAgeMs": "86400000"} {
		changed, err := parsed.With(name, value)
		if err != nil {
			t.Fatalf("changing a parameter of the template: %v", err)
		}
		parsed = changed
	}
	demo, err := demoTables(noon)
	if err != nil {
		t.Fatalf("filling tables with the demo data: %v", err)
	}
	log := new(syncBuffer)
	server := httptest.NewUnstartedServer(nil)
	stack, err := devstack.New(t.Context(), devstack.Options{
		Definition: parsed, Tables: demo, BaseURL: "http://" + server.Listener.Addr().String(),
		Clock: devstack.NewClock(func() time.Time { return noon }), Log: distinctKeys(t, log),
	})
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	server.Config.Handler = stack
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = stack.Close() })
	return &stories{Stack: stack, t: t, log: log}
}

// write sends a message to a restaurant and returns the answer's status.
func (s *stories) write(from, to, body string, signed bool) int {
	s.t.Helper()
	return s.post(signed, url.Values{"From": {"whatsapp:" + from}, "To": {"whatsapp:" + to}, "Body": {body}})
}

func (s *stories) post(signed bool, form url.Values) int {
	s.t.Helper()
	s.messages++
	form.Set("MessageSid", fmt.Sprintf("SM%032d", s.messages))
	token := devstack.TwilioAuthToken
	if !signed {
		token = "forged"
		form.Set("AccountSid", "AC00000000000000000000000000000000")
	}
	return do(s.t, s.Stack, http.MethodPost, webhook.Path, form.Encode(), "Content-Type: application/x-www-form-urlencoded",
		"X-Twilio-Signature: "+twilio.Signature(token, s.BaseURL+webhook.Path, form)).status
}

func (s *stories) behave(what, behavior string) {
	s.t.Helper()
	if a := put(s.t, s.Stack, "/sandbox/"+what, behavior); a.status != http.StatusOK {
		s.t.Fatalf("sandbox: %d %s", a.status, a.body)
	}
}

// pass moves the stack's clock forward.
func (s *stories) pass(d time.Duration) {
	s.t.Helper()
	s.moved += d
	s.behave("clock", `{"offset": "`+s.moved.String()+`"}`)
}

// await lets time pass until the log has a message the given number of times.
func (s *stories) await(message string, times int) {
	s.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if strings.Count(s.log.String(), `"message":"`+message+`"`) >= times {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%q was not logged %d times", message, times)
		}
		s.pass(time.Second)
	}
}

const (
	exampleNumber  = "+966110000000"
	otherNumber    = "+966110000002" // of the restaurant demo-002
	closedNumber   = "+966119999999"
	unlinkedNumber = "+966119999998"
)

// run lets everything happen and returns the functions' output.
func (s *stories) run() string {
	t := s.t
	// Requests of all kinds.
	get(t, s.Stack, "/api/usage", asOwner, ofExample)
	get(t, s.Stack, "/api/usage", asOwner, "X-Restaurant-Id: demo-001")
	get(t, s.Stack, "/api/usage", "X-API-Key: nobody")
	do(t, s.Stack, http.MethodGet, "/api/usage", strings.Repeat("x", 70<<10), asOwner, ofExample)
	renew := strings.Replace(usagehttp.TopUpPattern, "{restaurantId}", "clxyz123abc", 1)
	do(t, s.Stack, http.MethodPost, renew, `{"amount": 100}`, asAdmin)
	s.behave("store", `{"failRate": 1}`)
	get(t, s.Stack, "/api/usage/clxyz123abc", asAdmin)
	do(t, s.Stack, http.MethodPost, renew, `{"amount": 100}`, asAdmin)
	s.behave("store", `{}`)

	// A restaurant that is switched off.
	closed := restaurant.Restaurant{ID: "closed", Name: "Closed", CreatedAt: noon}
	bot := restaurant.Bot{ID: "bot-closed", PhoneNumber: closedNumber}
	if err := s.Store().CreateRestaurant(t.Context(), closed, &bot); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
	s.write("+966500000002", closedNumber, "hello", true)

	// A restaurant without a merchant id.
	unlinked := restaurant.Restaurant{ID: "unlinked", Name: "Unlinked", Active: true, CreatedAt: time.Now()}
	if err := s.Store().CreateRestaurant(t.Context(), unlinked, &restaurant.Bot{ID: "bot-unlinked", PhoneNumber: unlinkedNumber}); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
	s.write("+966500000002", unlinkedNumber, "hello", true)

	// Webhooks that are no customer's message.
	for _, form := range []url.Values{
		{"From": {"whatsapp:" + otherNumber}},
		{"From": {"whatsapp:+966500000002"}, "MessageStatus": {"delivered"}},
		{"From": {"whatsapp:+966500000002"}, "MessageType": {"reaction"}},
		{"From": {"whatsapp:+966500000002"}, "MessageType": {"system"}},
		{"From": {"messenger:1234567"}},
		{"From": {"+966500000002"}},
	} {
		form.Set("To", "whatsapp:"+exampleNumber)
		s.post(true, form)
	}

	// A welcome and its job, an answer, a forged message, and more answers than a minute may have.
	s.write("+966500000001", exampleNumber, "hello", true)
	s.await(bootstrap.MessageCompleted, 1)
	s.write("+966500000001", exampleNumber, "hello", false)
	for range conversation.AnswersPerCustomer + 1 {
		s.write("+966500000001", exampleNumber, "menu", true)
	}
	for i := range 6 {
		other := fmt.Sprintf("+96652000000%d", i)
		s.write(other, exampleNumber, "hello", true)
		for range conversation.AnswersPerCustomer - 1 {
			s.write(other, exampleNumber, "menu", true)
		}
	}
	s.await(bootstrap.MessageCompleted, 7)
	s.write("+966500000001", exampleNumber, "stop", true)
	s.write("+966500000001", exampleNumber, "menu", true)
	s.write("+966500000001", exampleNumber, "start", true)
	s.post(true, url.Values{"From": {"whatsapp:+966500000001"}, "To": {"whatsapp:" + exampleNumber}, "ListId": {"v1/ar/branch/branch-olaya"}})
	s.report()
	// Twilio refuses: the customer, the template, everything.
	s.write("+15005550004", exampleNumber, "hello", true)
	s.behave("twilio", `{"failRate": 1, "status": 400}`)
	s.write("+966500000003", exampleNumber, "hello", true)
	s.behave("twilio", `{}`)

	// Sufrah fails: for a restaurant without a cached menu, and with an old one. Then a merchant that Sufrah doesn't know.
	s.await(bootstrap.MessageCompleted, 9)
	s.pass(10 * time.Minute)
	s.behave("sufrah", `{"failRate": 1, "status": 503}`)
	s.write("+966500000005", otherNumber, "hello", true)
	s.await(bootstrap.MessageFailed, 1) // later attempts may find that calls are stopped, and wait
	s.write("+966500000004", exampleNumber, "hello", true)
	s.await(bootstrap.MessagePartial, 1)
	s.await("calls to the Sufrah API paused after failures", 1) // stopped by jobs, the only callers so far
	s.write("+966500000004", exampleNumber, "menu", true)
	s.behave("sufrah", `{"failRate": 1, "status": 404}`)
	// Calls are stopped now. The next request after some seconds tries again.
	for late := time.Now().Add(5 * time.Minute); !strings.Contains(s.log.String(), "merchant refused by the Sufrah API: the customer is shown an empty list"); s.pass(10 * time.Second) {
		if time.Now().After(late) {
			s.t.Fatal("Sufrah isn't called again")
		}
		s.write("+966500000005", otherNumber, "menu", true)
	}
	s.write("+966500000006", otherNumber, "hello", true)
	s.await(bootstrap.MessageDeadLettered, 1)
	s.behave("sufrah", `{}`)

	// The queue fails; then the cache fails and recovers.
	s.behave("queue", `{"failRate": 1, "status": 503}`)
	s.write("+966500000007", exampleNumber, "hello", true)
	s.behave("queue", `{}`)
	s.behave("cache", `{"failRate": 1}`)
	s.write("+966500000008", exampleNumber, "hello", true)
	s.await(bootstrap.MessageCompleted, 10)
	s.write("+966500000008", exampleNumber, "menu", true)
	s.behave("cache", `{}`)
	s.write("+966500000008", exampleNumber, "menu", true)

	// A worker gets two jobs while only one may start, and a job that is too old to be useful.
	s.work("JOB_RATE_PER_MINUTE=1", 0, 0, 25*time.Hour)
	// A job's last attempt fails. The jobs before waited instead, because calls were stopped after five failures.
	s.behave("sufrah", `{"failRate": 1, "status": 503}`)
	s.work("QUEUE_RETRY_ATTEMPTS=1", 0)
	s.panic()
	return s.log.String()
}

// report posts Twilio's statuses for messages of each kind, with failures by each party.
func (s *stories) report() {
	s.t.Helper()
	for _, kind := range delivery.Kinds {
		for status, codes := range map[string][]string{"delivered": {""}, "undelivered": {"63016", "63024", "63007", "63018", "99999"}} {
			for _, code := range codes {
				origin := delivery.Origin{Kind: kind, Category: delivery.Service, Template: kind == delivery.Welcome, SentAt: s.Clock.Now()}
				form := url.Values{
					"MessageSid": {"SM00000000000000000000000000000001"}, "MessageStatus": {status}, "ErrorCode": {code},
					"From": {"whatsapp:" + exampleNumber}, "To": {"whatsapp:+966500000001"},
				}
				path := webhook.StatusPath + "?" + origin.Query()
				got := do(s.t, s.Stack, http.MethodPost, path, form.Encode(), "Content-Type: application/x-www-form-urlencoded",
					"X-Twilio-Signature: "+twilio.Signature(devstack.TwilioAuthToken, s.BaseURL+path, form))
				if got.status != http.StatusOK {
					s.t.Fatalf("a status callback was answered %d", got.status)
				}
			}
		}
	}
}

// work hands jobs of the given ages to a worker with the given variable first in its environment.
func (s *stories) work(variable string, ages ...time.Duration) {
	s.t.Helper()
	environ, err := s.FunctionEnvironment(welcomebootstrap.Name)
	if err != nil {
		s.t.Fatalf("reading the function's environment from the template: %v", err)
	}
	environ = append([]string{variable}, environ...) // the first variable of a name counts
	handle, err := welcomebootstrap.New(environ, s.Clock.Now, distinctKeys(s.t, s.log))
	if err != nil {
		s.t.Fatalf("assembling the function from its environment: %v", err)
	}
	event := events.SQSEvent{}
	for _, age := range ages {
		s.jobs++
		id := fmt.Sprintf("more-%d", s.jobs)
		job := bootstrap.Job{
			Version: bootstrap.Version, JobID: id, RestaurantID: "clxyz123abc", MerchantID: id,
			CustomerWa: "+966500000009", EnqueuedAt: s.Clock.Now().Add(-age),
		}
		body, err := json.Marshal(job)
		if err != nil {
			s.t.Fatalf("encoding the JSON: %v", err)
		}
		event.Records = append(event.Records, events.SQSMessage{MessageId: job.JobID, Body: string(body)})
	}
	if _, err := handle(s.t.Context(), event); err != nil {
		s.t.Fatalf("invoking the function: %v", err)
	}
}

// brokenWorker panics. As far as is known, the real worker recovers all its panics itself.
type brokenWorker struct{}

func (brokenWorker) Handle(context.Context, bootstrap.Delivery) bootstrap.Outcome { panic("broken") }

// panic lets two handlers panic, so that the guards around them log it.
func (s *stories) panic() {
	s.t.Helper()
	broken := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") })
	request := events.APIGatewayV2HTTPRequest{RawPath: "/"}
	request.RequestContext.HTTP.Method = http.MethodGet
	logger := logging.New(s.log, slog.LevelInfo, processmessage.Name)
	if _, err := lambdahttp.New(broken, lambdahttp.Options{Logger: logger})(s.t.Context(), request); err != nil {
		s.t.Fatalf("invoking the function: %v", err)
	}
	handle := lambdasqs.New(brokenWorker{}, nil, logging.New(s.log, slog.LevelInfo, welcomebootstrap.Name), nil)
	if _, err := handle(s.t.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m"}}}); err != nil {
		s.t.Fatalf("invoking the function: %v", err)
	}
}

// awsMetrics has the names and dimensions of AWS's own metrics that we use, by namespace.
var awsMetrics = map[string]struct{ names, dimensions string }{
	"AWS/ApiGateway":  {"4xx 5xx Count Latency", "ApiId Stage"},
	"AWS/DynamoDB":    {"ConsumedReadCapacityUnits ConsumedWriteCapacityUnits ReadThrottleEvents TransactionConflict WriteThrottleEvents", "TableName"},
	"AWS/ElastiCache": {"BytesUsedForCache ElastiCacheProcessingUnits Evictions ThrottledCmds", "clusterId"},
	"AWS/Lambda":      {"ConcurrentExecutions Duration Errors Invocations Throttles", "FunctionName Resource ExecutedVersion"},
	"AWS/SQS":         {"ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesNotVisible ApproximateNumberOfMessagesVisible", "QueueName"},
}

// metricRef is a metric in an alarm or the dashboard.
type metricRef struct {
	where, namespace, name string
	dimensions             map[string]string
}

// manual is everything that operators look at, with the output behind it.
type manual struct {
	emitted    map[string]emitted
	filters    map[string]bool // metrics made of log lines, as "function name"
	functions  map[string]string
	tables     map[string]bool
	logGroups  map[string]map[string]emitted // output by log group
	usedOfOurs map[string]bool               // as "function name"
	faults     []string
}

func (m *manual) fault(format string, args ...any) {
	m.faults = append(m.faults, fmt.Sprintf(format, args...))
}

func (m *manual) check(r metricRef) {
	if r.namespace == metrics.Namespace && len(r.dimensions) == 0 {
		if !m.filters[r.name] {
			m.fault("%s: nothing makes the metric %s", r.where, r.name)
		}
		return
	}
	if r.namespace == metrics.Namespace {
		function := m.functions[r.dimensions[metrics.Dimension]]
		if len(r.dimensions) != 1 || function == "" {
			m.fault("%s: %s has the dimensions %v", r.where, r.name, r.dimensions)
		}
		if !m.emitted[function].metrics[r.name] && !m.filters[function+" "+r.name] {
			m.fault("%s: %s emits no metric %s", r.where, function, r.name)
		}
		m.usedOfOurs[function+" "+r.name] = true
		return
	}
	known := awsMetrics[r.namespace]
	if !slices.Contains(strings.Fields(known.names), r.name) {
		m.fault("%s: nothing is known of %s %s", r.where, r.namespace, r.name)
	}
	for name, value := range r.dimensions {
		if !slices.Contains(strings.Fields(known.dimensions), name) || value == "" ||
			name == "FunctionName" && m.functions[value] == "" || name == "TableName" && !m.tables[value] {
			m.fault("%s: %s has the dimension %s=%s", r.where, r.name, name, value)
		}
	}
}

// metricStat is the form of a metric in an alarm.
type metricStat struct {
	Namespace, MetricName string
	Dimensions            []struct{ Name, Value string }
}

func (s metricStat) ref(where string) metricRef {
	r := metricRef{where, s.Namespace, s.MetricName, map[string]string{}}
	for _, d := range s.Dimensions {
		r.dimensions[d.Name] = d.Value
	}
	return r
}

var identifier = regexp.MustCompile(`\b\d\w*|@?[A-Za-z_][\w.]*\(?`)

// identifiers returns the names in an expression or query, without functions and numbers.
func identifiers(text string) []string {
	return slices.DeleteFunc(identifier.FindAllString(text, -1), func(found string) bool {
		return strings.HasSuffix(found, "(") || found[0] <= '9'
	})
}

func (m *manual) checkAlarm(alarm sam.Resource) {
	var properties struct {
		metricStat
		Metrics []struct {
			ID, Expression string
			MetricStat     struct{ Metric metricStat }
		}
	}
	if err := alarm.Decode(&properties); err != nil {
		m.fault("%s: %v", alarm.LogicalID, err)
	}
	if len(properties.Metrics) == 0 {
		m.check(properties.ref(alarm.LogicalID))
		return
	}
	ids, used := map[string]bool{}, map[string]bool{}
	for _, metric := range properties.Metrics {
		if metric.Expression == "" {
			ids[metric.ID] = true
			m.check(metric.MetricStat.Metric.ref(alarm.LogicalID))
			continue
		}
		for _, name := range identifiers(metric.Expression) {
			used[name] = true
		}
	}
	if diff := cmp.Diff(ids, used); diff != "" {
		m.fault("%s: (-metrics +those that its expression uses):\n%s", alarm.LogicalID, diff)
	}
}

// checkZeros checks that a schedule adds only zeros to metrics, and only to metrics that exist.
func (m *manual) checkZeros(where, input string) {
	var request struct {
		Namespace  string
		MetricData []struct {
			metricStat
			Value *float64
			Unit  string
		}
	}
	if err := json.Unmarshal([]byte(input), &request); err != nil || len(request.MetricData) == 0 {
		m.fault("%s: %v in %s", where, err, input)
	}
	for _, d := range request.MetricData {
		d.Namespace = request.Namespace
		if m.check(d.ref(where)); d.Value == nil || *d.Value != 0 || d.Unit != "Count" {
			m.fault("%s adds %v to %s", where, d.Value, d.MetricName)
		}
	}
}

// checkDashboard reads a dashboard's body as CloudWatch does.
func (m *manual) checkDashboard(body string) {
	var dashboard struct {
		Widgets []struct {
			Type       string
			Properties struct {
				Title   string
				Metrics [][]any
				Alarms  []string
				Query   string
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &dashboard); err != nil {
		m.fault("the dashboard is no JSON: %v", err)
	}
	for _, widget := range dashboard.Widgets {
		ids, used := map[string]bool{}, map[string]bool{}
		for _, metric := range widget.Properties.Metrics {
			if computed, ok := metric[0].(map[string]any); ok {
				for _, name := range identifiers(computed["expression"].(string)) {
					used[name] = true
				}
				continue
			}
			if options, ok := metric[len(metric)-1].(map[string]any); ok && options["id"] != nil {
				ids[options["id"].(string)] = true
			}
			r := metricRef{"widget " + widget.Properties.Title, metric[0].(string), metric[1].(string), map[string]string{}}
			for i := 2; i+1 < len(metric); i += 2 {
				r.dimensions[metric[i].(string)] = metric[i+1].(string)
			}
			m.check(r)
		}
		if diff := cmp.Diff(ids, used); diff != "" {
			m.fault("widget %s: (-metrics with an id +those that its expressions use):\n%s", widget.Properties.Title, diff)
		}
		if widget.Type == "log" {
			groups := regexp.MustCompile(`SOURCE '([^']+)' \| `)
			var sources []string
			for _, source := range groups.FindAllStringSubmatch(widget.Properties.Query, -1) {
				sources = append(sources, source[1])
			}
			m.checkQuery("widget "+widget.Properties.Title, sources, groups.ReplaceAllString(widget.Properties.Query, ""))
		}
	}
}

var (
	quoted       = regexp.MustCompile(`"([^"]*)"`)
	messageTests = regexp.MustCompile(`message (?:= ("[^"]*")|in \[([^\]]*)\])`)
	limiting     = regexp.MustCompile(`\| limit \d+`)
	renaming     = regexp.MustCompile(` as (\w+)`)

	keywords = strings.Fields("fields filter stats sort by as asc desc in and or")
	builtIn  = strings.Fields("@timestamp @message @log")
	// ofPlatform has the fields of the reports that Lambda writes about invocations.
	ofPlatform = strings.Fields("type record.requestId record.metrics.initDurationMs record.metrics.durationMs record.metrics.maxMemoryUsedMB")
)

// checkQuery compares a query of Logs Insights with the lines in its log groups.
func (m *manual) checkQuery(where string, groups []string, text string) {
	text = strings.ReplaceAll(text, "# |", "|") // lines that an operator may add
	text = regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(text, "")
	var messages []string
	for _, test := range messageTests.FindAllStringSubmatch(text, -1) {
		for _, message := range quoted.FindAllStringSubmatch(test[1]+test[2], -1) {
			messages = append(messages, message[1])
		}
	}
	fields, written := map[string]bool{}, map[string]bool{}
	for _, group := range groups {
		if m.logGroups[group] == nil {
			m.fault("%s: there is no log group %s", where, group)
		}
		for _, e := range m.logGroups[group] {
			maps.Copy(fields, e.fields(messages...))
			maps.Copy(fields, e.lines[""]) // API Gateway's own log, with no message in its lines
			for message := range e.lines {
				written[message] = true
			}
		}
	}
	for _, message := range messages {
		if !written[message] {
			m.fault("%s: nothing logs %q", where, message)
		}
	}
	if strings.Contains(text, `type = "platform.report"`) || strings.Contains(text, "record.requestId") {
		for _, field := range ofPlatform {
			fields[field] = true
		}
	}
	known := slices.Concat(keywords, builtIn)
	for _, alias := range renaming.FindAllStringSubmatch(text, -1) {
		known = append(known, alias[1])
	}
	for _, name := range identifiers(limiting.ReplaceAllString(quoted.ReplaceAllString(text, ""), "")) {
		if !slices.Contains(known, name) && !fields[name] {
			m.fault("%s: nothing that it looks at has a field %s", where, name)
		}
	}
}

// TestOperatorsSeeWhatIsEmitted: the functions write every metric, log message and log field that alarms, dashboard and saved
// queries use. Conversely, every metric is shown somewhere.
func TestOperatorsSeeWhatIsEmitted(t *testing.T) {
	t.Parallel()
	loaded, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	m := manual{
		emitted: collect(t, newStories(t, loaded).run()), filters: map[string]bool{}, functions: map[string]string{},
		tables: map[string]bool{}, logGroups: map[string]map[string]emitted{}, usedOfOurs: map[string]bool{},
	}
	for name, value := range map[string]string{"TwilioAccountSid": "AC00000000000000000000000000000000", "Stage": "prod"} { // with it the template has more alarms
		if loaded, err = loaded.With(name, value); err != nil {
			t.Fatalf("changing a parameter of the template: %v", err)
		}
	}
	resources := func(kind string) []sam.Resource {
		found, err := loaded.Resources(kind, devstack.StackName)
		if err != nil || len(found) == 0 {
			t.Fatalf("%d %s, %v", len(found), kind, err)
		}
		return found
	}
	text := func(r sam.Resource, path ...string) string {
		value, _ := r.Property(path...).(string)
		return value
	}
	for _, function := range resources("AWS::Serverless::Function") {
		deployed := text(function, "FunctionName")
		name := strings.TrimPrefix(deployed, devstack.StackName+"-")
		m.functions[deployed] = name
		m.logGroups[text(function, "LoggingConfig", "LogGroup")] = map[string]emitted{name: m.emitted[name]}
	}
	for _, table := range resources("AWS::DynamoDB::Table") {
		m.tables[text(table, "TableName")] = true
	}
	for _, api := range resources("AWS::Serverless::HttpApi") {
		var format map[string]any
		if err := json.Unmarshal([]byte(text(api, "AccessLogSettings", "Format")), &format); err != nil {
			t.Fatalf("the access log's format is no JSON: %v", err)
		}
		fields := map[string]bool{}
		for name := range format {
			fields[name] = true
		}
		m.logGroups["/aws/vendedlogs/apigateway/"+devstack.StackName] = map[string]emitted{"api": {lines: map[string]map[string]bool{"": fields}}}
	}
	for _, filter := range resources("AWS::Logs::MetricFilter") {
		m.checkFilter(filter)
	}
	for _, alarm := range resources("AWS::CloudWatch::Alarm") {
		m.checkAlarm(alarm)
	}
	for _, detector := range resources("AWS::CloudWatch::AnomalyDetector") {
		var properties metricStat
		if err := detector.Decode(&properties); err != nil {
			t.Fatalf("reading the resource's properties: %v", err)
		}
		m.check(properties.ref(detector.LogicalID))
	}
	for _, schedule := range resources("AWS::Scheduler::Schedule") {
		if target := text(schedule, "Target", "Arn"); strings.HasSuffix(target, ":aws-sdk:cloudwatch:putMetricData") {
			m.checkZeros(schedule.LogicalID, text(schedule, "Target", "Input"))
		}
	}
	for _, dashboard := range resources("AWS::CloudWatch::Dashboard") {
		m.checkDashboard(text(dashboard, "DashboardBody"))
	}
	for _, query := range resources("AWS::Logs::QueryDefinition") {
		var groups []string
		names, _ := query.Property("LogGroupNames").([]any)
		for _, name := range names {
			groups = append(groups, name.(string))
		}
		m.checkQuery(query.LogicalID, groups, text(query, "QueryString"))
	}
	for function, e := range m.emitted {
		for name := range e.metrics {
			if !m.usedOfOurs[function+" "+name] {
				m.fault("%s emits %s, which nobody sees", function, name)
			}
		}
	}
	for _, fault := range m.faults {
		t.Error(fault)
	}
}

// checkFilter notes a metric made of log lines, and checks that such lines exist.
func (m *manual) checkFilter(filter sam.Resource) {
	var properties struct {
		LogGroupName, FilterPattern string
		MetricTransformations       []struct {
			MetricNamespace, MetricName string
			Dimensions                  []struct{ Key, Value string }
		}
	}
	if err := filter.Decode(&properties); err != nil || len(properties.MetricTransformations) != 1 {
		m.fault("%s: %+v, %v", filter.LogicalID, properties, err)
		return
	}
	made := properties.MetricTransformations[0]
	ofAPI := map[string]struct{ field, name string }{ // API Gateway's own log, which names no function
		`{ $.status = "429" }`:                         {"status", "RequestsThrottled-"},
		`{ $.routeKey != "ANY ` + webhook.Path + `" }`: {"routeKey", "DashboardRequests-"},
	}
	if api, ok := ofAPI[properties.FilterPattern]; ok {
		if e := m.logGroups[properties.LogGroupName]["api"]; !e.fields()[api.field] || made.MetricNamespace != metrics.Namespace ||
			made.MetricName != api.name+devstack.StackName || len(made.Dimensions) > 0 {
			m.fault("%s: %+v", filter.LogicalID, properties)
		}
		m.filters[made.MetricName] = true
		return
	}
	for function, e := range m.logGroups[properties.LogGroupName] {
		if properties.FilterPattern != `{ $.level = "ERROR" }` || !e.fields()["level"] || !e.fields()["function"] ||
			made.MetricNamespace != metrics.Namespace || len(made.Dimensions) != 1 || made.Dimensions[0].Key != metrics.Dimension ||
			made.Dimensions[0].Value != "$.function" {
			m.fault("%s: %+v", filter.LogicalID, properties)
		}
		m.filters[function+" "+made.MetricName] = true
	}
}

// TestQueriesThatNobodyCouldAnswer: the check of queries finds the faults in these.
func TestQueriesThatNobodyCouldAnswer(t *testing.T) {
	t.Parallel()
	lines := map[string]map[string]bool{"request": {"message": true, "status": true}, "other": {"message": true, "reason": true}}
	for _, query := range []string{
		`filter message = "requests"`, `filter message in ["request", "requests"]`, `filter message = "request" | stats count(*) by reason`,
		`fields coalesce(status, code) as why`, "fields status\n# | filter code = 1", `stats max(initDurationMs) as x`,
	} {
		m := manual{logGroups: map[string]map[string]emitted{"g": {"f": {lines: lines}}}}
		m.checkQuery("query", []string{"g"}, query)
		if len(m.faults) == 0 {
			t.Errorf("%s was accepted", query)
		}
	}
}

// TestUnitsOfMessagesAndRequests counts the figures of the costs in docs/OPERATIONS.md: the tables' units for requests over
// HTTP, of all functions together.
func TestUnitsOfMessagesAndRequests(t *testing.T) {
	t.Parallel()
	loaded, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	s := newStories(t, loaded)
	engine := tables{engine: s.StandIn()}
	write := func(from, body string) func() {
		return func() { s.write(from, exampleNumber, body, true) }
	}
	ask := func(target string, headers ...string) func() {
		return func() { get(t, s.Stack, target, headers...) }
	}
	const known, stranger = "+966500000001", "+966500000002"
	s.behave("twilio", `{"callbackDelayMs": 60000}`) // callbacks have a test of their own
	write(known, "hello")()                          // the restaurant's first message of the day costs a unit more
	s.await(bootstrap.MessageCompleted, 1)
	for _, step := range []struct {
		what          string
		after         time.Duration
		do            func()
		written, read float64
	}{
		{"a new customer's first message, with the restaurant looked up", 2 * time.Minute, write(stranger, "hello"), 8, 8},
		{"within a session", time.Second, write(known, "hello"), 2, 0},
		{"answered with a menu", time.Second, write(known, "menu"), 4, 0},
		{"opens a conversation, the restaurant's first of the day, with the restaurant looked up", 30 * time.Hour, write(known, "hello"), 11, 8},
		{"opens a conversation", time.Second, write(stranger, "hello"), 10, 5},
		{"an owner's request", 0, ask("/api/usage", asOwner, ofExample), 0, 5},
		{"another one, whose token is known by now", 0, ask("/api/usage", asOwner, ofExample), 0, 4},
		{"one restaurant with history", 0, ask("/api/usage/clxyz123abc", asAdmin), 0, 10},
		{"a page of 20, with a known key", 0, ask("/api/usage?limit=20", asAdmin), 0, 83},
	} {
		s.pass(step.after)
		read, written := engine.capacity(), engine.written()
		step.do()
		if read, written = engine.capacity()-read, engine.written()-written; read != step.read || written != step.written {
			t.Errorf("%s: %v units written and %v read, want %v and %v", step.what, written, read, step.written, step.read)
		}
	}
}

// TestUnitsOfCallbacks: the three callbacks of a message, in any order and each twice, write at most two units. The status
// sent is known already, and after read, delivered adds nothing.
func TestUnitsOfCallbacks(t *testing.T) {
	t.Parallel()
	loaded, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	s := newStories(t, loaded)
	engine := tables{engine: s.StandIn()}
	s.behave("twilio", `{"callbackDelayMs": 5000}`)
	s.write("+966500000001", exampleNumber, "hello", true)
	read, written := engine.capacity(), engine.written()
	s.Twilio.Reported()
	s.Twilio.Replay()
	if read, written = engine.capacity()-read, engine.written()-written; written < 1 || written > 2 || read != 6 {
		t.Errorf("the callbacks of a message: %v units written and %v read", written, read)
	}
}

// TestLastAttemptIsLogged checks that the queue gives a job up after the attempt that the log calls the last, for several
// values of the template's QueueRetryAttempts.
func TestLastAttemptIsLogged(t *testing.T) {
	t.Parallel()
	loaded, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	for _, attempts := range []string{"1", "2"} {
		t.Run(attempts, func(t *testing.T) {
			t.Parallel()
			parsed, err := loaded.With("QueueRetryAttempts", attempts)
			if err != nil {
				t.Fatalf("changing a parameter of the template: %v", err)
			}
			s := newStories(t, parsed)
			s.behave("sufrah", `{"failRate": 1, "status": 503}`)
			s.write("+966500000005", otherNumber, "hello", true)
			s.await(bootstrap.MessageGivenUp, 1)
			var state queues
			until(t, "dead letter", func() bool {
				state = read[queues](t, get(t, s.Stack, "/sandbox/queues"), 200)
				return len(state.DeadLetters) > 0
			})
			if got := fmt.Sprint(state.DeadLetters[0].ReceiveCount); got != attempts || len(state.DeadLetters) != 1 {
				t.Errorf("the dead letters are %+v, want one that was received %s times", state.DeadLetters, attempts)
			}
			var ends []string
			for line := range strings.Lines(s.log.String()) {
				var entry struct {
					Level, Message, Remedy string
					Attempt                int
				}
				if json.Unmarshal([]byte(line), &entry) == nil && strings.HasPrefix(entry.Message, "bootstrap job failed") {
					redrive, _, _ := strings.Cut(entry.Remedy, ";")
					ends = append(ends, fmt.Sprint(entry.Level, " ", entry.Attempt, " ", entry.Message, " ", redrive))
				}
			}
			want := []string{
				"WARN 1 bootstrap job failed: it is tried again ",
				"ERROR " + attempts + " bootstrap job failed for the last time: it goes to the dead-letter queue now mend the cause, then run sufrahctl dlq redrive",
			}
			if attempts == "1" {
				want = want[1:]
			}
			if diff := cmp.Diff(want, ends); diff != "" {
				t.Errorf("the ends of attempts in the log (-want +got):\n%s", diff)
			}
		})
	}
}
