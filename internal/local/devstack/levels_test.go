package devstack_test

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

// TestServiceLevels lets minutes pass on a local stack, makes each minute's metrics from the functions' output, and evaluates
// the service levels' alarms over them as CloudWatch does. A fault must raise the alarm of its level within five minutes, and
// no other level's. An ordinary storm, in which every tenth call of DynamoDB fails, must raise none.
func TestServiceLevels(t *testing.T) {
	t.Parallel()
	loaded, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	alarms := levelAlarms(t, loaded, "-level-fast")
	for name, test := range map[string]struct {
		part, behavior string
		want           []string // alarms that are on within five minutes
	}{
		"an ordinary storm":         {"store", `{"failRate": 0.1, "status": 503}`, nil},
		"DynamoDB is down":          {"store", `{"failRate": 1, "status": 503}`, []string{"figures-level-fast", "webhook-level-fast"}},
		"DynamoDB is slow":          {"store", `{"latencyMs": 700}`, []string{"figures-level-fast", "webhook-level-fast"}}, // a first message makes several round trips
		"Twilio is down":            {"twilio", `{"failRate": 1, "status": 503}`, []string{"webhook-level-fast", "welcome-level-fast"}},
		"Twilio is slow":            {"twilio", `{"latencyMs": 2100}`, []string{"webhook-level-fast"}},
		"the cache is down":         {"cache", `{"failRate": 1}`, nil},
		"the Sufrah API is down":    {"sufrah", `{"failRate": 1, "status": 503}`, nil},
		"jobs can't be enqueued":    {"queue", `{"failRate": 1, "status": 503}`, nil},
		"nothing is wrong anywhere": {"store", `{}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && strings.HasSuffix(name, "slow") {
				t.Skip("-short: every call of the slow service takes its time")
			}
			m := &minutes{stories: newStories(t, loaded)}
			m.live(2, 10)
			for _, alarm := range alarms {
				if m.on(alarm) {
					t.Fatalf("%s is on before anything happened", alarm.name)
				}
			}
			m.behave(test.part, test.behavior)
			var got []string
			for range 5 {
				m.live(1, 3)
				for _, alarm := range alarms {
					if m.on(alarm) && !slices.Contains(got, alarm.name) {
						got = append(got, alarm.name)
					}
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("alarms that are on within five minutes: %v, want %v", got, test.want)
			}
		})
	}
}

// TestSlowServiceLevels lets six hours pass. A fault of a minute every three hours is too rare for the fast alarms, but uses
// up the month's budget: the slow alarms of the affected levels must be on at the end. A single such minute at night, with
// few messages and requests, is within the budget.
func TestSlowServiceLevels(t *testing.T) {
	t.Parallel()
	loaded, err := loadDefinition()
	if err != nil {
		t.Fatal(err)
	}
	fast, slow := levelAlarms(t, loaded, "-level-fast"), levelAlarms(t, loaded, "-level-slow")
	const rounds, each = 20, 15 // a round is a minute with messages and requests, and 17 quiet minutes
	for name, test := range map[string]struct {
		part string
		bad  map[int]int // number of messages and requests in each round that has the fault
		want []string
	}{
		"DynamoDB is down for two minutes":       {"store", map[int]int{5: 3, 15: 3}, []string{"figures-level-slow", "webhook-level-slow"}},
		"Twilio is down for two minutes":         {"twilio", map[int]int{5: 3, 15: 3}, []string{"webhook-level-slow", "welcome-level-slow"}},
		"DynamoDB is down for a minute at night": {"store", map[int]int{5: 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &minutes{stories: newStories(t, loaded)}
			for round := range rounds {
				n, faulty := test.bad[round]
				if faulty {
					m.behave(test.part, `{"failRate": 1, "status": 503}`)
				} else {
					n = each
				}
				m.live(1, n)
				m.behave(test.part, `{}`)
				for _, alarm := range fast {
					if m.on(alarm) {
						t.Errorf("%s is on in round %d: somebody would be woken for a month's slow leak", alarm.name, round)
					}
				}
				m.lived += 17
				m.pass(17 * time.Minute)
			}
			var got []string
			for _, alarm := range slow {
				if m.on(alarm) {
					got = append(got, alarm.name)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("on after six hours: %v, want %v", got, test.want)
			}
		})
	}
}

// minutes is a stack with the metrics of each minute of its life.
type minutes struct {
	*stories
	customers int
	series    map[string][]float64 // values by minute, for each function and metric
	lived     int
}

// live lets n minutes pass, each with the given number of first messages and as many requests.
func (m *minutes) live(n, each int) {
	m.t.Helper()
	if m.series == nil {
		m.series = make(map[string][]float64)
	}
	for range n {
		from := len(m.log.String())
		for range each {
			m.customers++
			m.write(fmt.Sprintf("+9665111%05d", m.customers), exampleNumber, "hello", true)
			get(m.t, m.Stack, "/api/usage", asOwner, ofExample)
		}
		m.count(m.log.String()[from:])
		m.lived++
		m.pass(time.Minute)
	}
}

var (
	platform = map[string]string{"request": "Invocations"} // metrics that Lambda itself counts, by the message of the function's line
)

// count adds the metrics in a minute's lines to the series.
func (m *minutes) count(log string) {
	for text := range strings.Lines(log) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) != nil {
			continue
		}
		if function, ok := line["Function"].(string); ok { // a line in the embedded metric format
			for name, value := range line {
				if number, ok := value.(float64); ok {
					m.add(function+" "+name, number)
				}
			}
			continue
		}
		message, _ := line["message"].(string)
		if name := platform[message]; name != "" {
			m.add(fmt.Sprint(line["function"])+" "+name, 1)
		}
	}
}

func (m *minutes) add(key string, value float64) {
	for len(m.series[key]) <= m.lived {
		m.series[key] = append(m.series[key], math.NaN())
	}
	at := &m.series[key][m.lived]
	if math.IsNaN(*at) {
		*at = 0
	}
	*at += value
}

// levelAlarm is an alarm on a metric math expression.
type levelAlarm struct {
	name, expression  string
	metrics           map[string]string // keys of series, by their ids in the expression
	threshold         float64
	period            int // in minutes
	periods, breaches int
}

// levelAlarms returns the alarms of the three service levels that have the given ending.
func levelAlarms(t *testing.T, loaded *sam.Definition, ending string) (found []levelAlarm) {
	t.Helper()
	resources, err := loaded.Resources("AWS::CloudWatch::Alarm", devstack.StackName)
	if err != nil {
		t.Fatalf("reading resources from the template: %v", err)
	}
	for _, resource := range resources {
		var p struct {
			AlarmName                            string
			Threshold                            any
			EvaluationPeriods, DatapointsToAlarm any
			Metrics                              []struct {
				ID, Expression string
				MetricStat     struct {
					Metric metricStat
					Period any
				}
			}
		}
		if err := resource.Decode(&p); err != nil {
			t.Fatalf("reading the resource's properties: %v", err)
		}
		name := strings.TrimPrefix(p.AlarmName, devstack.StackName+"-")
		if !strings.HasSuffix(name, ending) {
			continue
		}
		number := func(v any) float64 {
			n, err := strconv.ParseFloat(fmt.Sprint(v), 64)
			if err != nil {
				t.Fatalf("a number of the alarm %s: %v", name, err)
			}
			return n
		}
		a := levelAlarm{
			name: name, metrics: map[string]string{}, threshold: number(p.Threshold),
			periods: int(number(p.EvaluationPeriods)), breaches: int(number(p.DatapointsToAlarm)),
		}
		for _, metric := range p.Metrics {
			if metric.Expression != "" {
				a.expression = metric.Expression
				continue
			}
			period := int(number(metric.MetricStat.Period)) / 60
			if period < 1 || a.period != 0 && period != a.period {
				t.Errorf("%s has metrics with periods of %d and %d minutes", name, a.period, period)
			}
			a.period = period
			function := strings.TrimPrefix(metric.MetricStat.Metric.Dimensions[0].Value, devstack.StackName+"-")
			a.metrics[metric.ID] = function + " " + metric.MetricStat.Metric.MetricName
		}
		found = append(found, a)
	}
	if len(found) != 3 {
		t.Fatalf("the stack has %d alarms of service levels, want 3: %+v", len(found), found)
	}
	return found
}

// on reports whether an alarm is on: whether enough of its latest periods breach the threshold.
func (m *minutes) on(a levelAlarm) bool {
	breaching := 0
	for i := range a.periods {
		end := m.lived - i*a.period
		value := (&mathematics{text: a.expression, value: func(id string) float64 {
			return sumOf(m.series[a.metrics[id]], end-a.period, end)
		}}).evaluate()
		if value >= a.threshold {
			breaching++
		}
	}
	return breaching >= a.breaches
}

// sumOf returns a metric's sum over some minutes, NaN if it has no value in them.
func sumOf(series []float64, from, to int) float64 {
	sum := math.NaN()
	for minute := max(0, from); minute < min(to, len(series)); minute++ {
		switch value := series[minute]; {
		case math.IsNaN(sum):
			sum = value
		case !math.IsNaN(value):
			sum += value
		}
	}
	return sum
}

// mathematics evaluates a metric math expression of CloudWatch: numbers, metrics, + - * / >, IF and FILL.
type mathematics struct {
	text  string
	value func(id string) float64
}

func (e *mathematics) evaluate() float64 {
	value := e.comparison()
	if e.skip(); e.text != "" {
		panic("metric math: can't read " + e.text)
	}
	return value
}

func (e *mathematics) skip() { e.text = strings.TrimLeft(e.text, " ") }

// next takes one of the signs, if it comes next.
func (e *mathematics) next(signs string) byte {
	if e.skip(); e.text != "" && strings.IndexByte(signs, e.text[0]) >= 0 {
		sign := e.text[0]
		e.text = e.text[1:]
		return sign
	}
	return 0
}

func (e *mathematics) comparison() float64 {
	left := e.sum()
	if e.next(">") == 0 {
		return left
	}
	if left > e.sum() {
		return 1
	}
	return 0
}

func (e *mathematics) sum() float64 {
	for left := e.product(); ; {
		switch e.next("+-") {
		case '+':
			left += e.product()
		case '-':
			left -= e.product()
		default:
			return left
		}
	}
}

func (e *mathematics) product() float64 {
	for left := e.operand(); ; {
		switch e.next("*/") {
		case '*':
			left *= e.operand()
		case '/':
			left /= e.operand()
		default:
			return left
		}
	}
}

var word = regexp.MustCompile(`^[\w.]+`)

func (e *mathematics) operand() float64 {
	if e.next("(") != 0 {
		value := e.comparison()
		e.next(")")
		return value
	}
	e.skip()
	name := word.FindString(e.text)
	e.text = e.text[len(name):]
	if number, err := strconv.ParseFloat(name, 64); err == nil {
		return number
	}
	if e.next("(") == 0 {
		return e.value(name)
	}
	arguments := []float64{e.comparison()}
	for e.next(",") != 0 {
		arguments = append(arguments, e.comparison())
	}
	e.next(")")
	switch {
	case name == "IF" && len(arguments) == 3:
		if arguments[0] > 0 {
			return arguments[1]
		}
		return arguments[2]
	case name == "FILL" && len(arguments) == 2:
		if math.IsNaN(arguments[0]) {
			return arguments[1]
		}
		return arguments[0]
	}
	panic(fmt.Sprintf("metric math: %s of %d", name, len(arguments)))
}

func TestMetricMath(t *testing.T) {
	t.Parallel()
	values := map[string]float64{"a": 3, "b": 30, "none": math.NaN()}
	for text, want := range map[string]float64{
		"1 + 2 * 3": 7, "(1 + 2) * a": 9, "100 * (FILL(none, 0) + FILL(a, 0)) / IF(b > 20, b, 20)": 10, "IF(none > 20, none, 20) - 1": 19, "b / a / 2": 5,
	} {
		e := &mathematics{text: text, value: func(id string) float64 { return values[id] }}
		if got := e.evaluate(); got != want {
			t.Errorf("CloudWatch's expression %s gives %v, want %v", text, got, want)
		}
	}
}
