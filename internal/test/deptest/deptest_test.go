package deptest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/sufrah/usage-bootstrap"

// The groups of packages. Every package of the module is in exactly one. A pattern that ends in "/..." stands for the package
// and all below it; a pattern that begins with "./" is a package of the module itself.
var (
	// domain packages decide the system's behavior, independently of technology.
	domain = []string{
		"./internal/usage", "./internal/restaurant", "./internal/credential", "./internal/outage",
		"./internal/phone", "./internal/customer", "./internal/intent", "./internal/spelling", "./internal/search", "./internal/menu", "./internal/conversation", "./internal/bootstrap", "./internal/cache",
		"./internal/ratelimit", "./internal/circuit", "./internal/startlog", "./internal/listpicker", "./internal/listcontent", "./internal/delivery", "./internal/ledger",
	}
	// edges take requests from outside and pass them to the domain.
	edges = []string{"./internal/httpedge", "./internal/usagehttp", "./internal/webhook"}
	// adapters translate between the domain and one technology each. An adapter of several packages is a single adapter.
	adapters = []string{
		"./internal/dynamo/...", "./internal/valkey", "./internal/twilio", "./internal/sufrah", "./internal/lambdahttp",
		"./internal/secret", "./internal/sqsqueue", "./internal/lambdasqs",
	}
	// foundations can be used by every package above, and know none of them.
	foundations = []string{
		"./internal/clock", "./internal/config", "./internal/logging", "./internal/metrics", "./internal/outbound", "./internal/awsconfig", "./internal/ttl",
		"./internal/task", "./internal/timing", "./internal/health",
	}
	// joiners choose adapters and put the system together.
	joiners = []string{"./functions/...", "./internal/function/...", "./internal/cmd/..."}
	// standIns imitate the services of AWS and others.
	standIns = []string{
		"./internal/local/dynamolocal/...", "./internal/local/sqslocal/...", "./internal/local/apigateway", "./internal/local/lambdalocal",
		"./internal/local/eventsource", "./internal/local/sandbox",
	}
	// benches are the other parts of local stacks and operators' tools.
	benches = []string{
		"./internal/local/devstack", "./internal/local/stackstore", "./internal/local/demo", "./internal/local/page", "./internal/local/sam", "./internal/local/engines",
		"./internal/local/transfer",
	}
	// suites are tests and doubles that several packages share.
	suites = []string{"./internal/test/..."}

	groups = map[string][]string{
		"domain": domain, "edges": edges, "adapters": adapters, "foundations": foundations, "joiners": joiners,
		"stand-ins": standIns, "benches": benches, "suites": suites,
	}
	// deployed is the wing that runs on AWS.
	deployed = slices.Concat(domain, edges, adapters, foundations)

	// drivers are the libraries with which the system reaches other services.
	drivers = []string{
		"github.com/aws/...", "github.com/awslabs/...", "github.com/valkey-io/...", "github.com/alicebob/miniredis/...",
	}
)

// rule forbids some packages to import others.
type rule struct {
	name     string
	reason   string
	from     []string // packages that the rule binds
	except   []string // exceptions among them
	to       []string // forbidden imports
	indirect bool     // forbids linking them too, that is importing them through others
	atMost   int      // number of patterns in to that a package may import nevertheless
}

var rules = []rule{
	{
		name:   "the domain knows no technology",
		reason: "the rules of usage and conversations are tested and read without AWS, and outlive a change of database or cache",
		from:   domain, to: slices.Concat(drivers, adapters, []string{"net/http/httptest"}), indirect: true,
	},
	{
		name:   "adapters don't know one another",
		reason: "each can be replaced alone, and no function links the client of a service that it doesn't call",
		from:   adapters, to: adapters, indirect: true,
	},
	{
		name:   "adapters are joined in one place",
		reason: "whoever wants to know what runs on what reads the functions and the local stack, and nothing else",
		from:   []string{"./..."}, except: slices.Concat(joiners, suites, []string{"./internal/local/devstack"}), to: adapters, atMost: 1,
	},
	{
		name:   "foundations know no adapter",
		reason: "configuration, logs and metrics are linked by every function, and would bring along the client of each",
		from:   foundations, to: slices.Concat(edges, adapters), indirect: true,
	},
	{
		name:   "drivers stay in the adapters",
		reason: "their errors and types are translated at the edge; a package that needs one is an adapter, or a stand-in for the other side",
		from:   []string{"./..."},
		except: slices.Concat(adapters, joiners, suites, []string{
			"./internal/awsconfig", "./internal/local/apigateway", "./internal/local/eventsource", "./internal/local/engines",
			"./internal/local/devstack", "./internal/local/stackstore",
		}),
		to: drivers,
	},
	{
		name:   "functions link nothing local",
		reason: "what pretends, and what lets pass without checking, must not be within reach of a deployed function",
		from:   []string{"./functions/..."}, to: []string{"./internal/local/...", "./internal/test/...", "./internal/cmd/..."}, indirect: true,
	},
	{
		name:   "functions link no tests",
		reason: "package testing brings flags and profiling along, and a function has no use for either",
		from:   []string{"./functions/..."}, indirect: true,
		to: []string{"testing/...", "net/http/httptest", "github.com/google/go-cmp/...", "pgregory.net/rapid/...", "github.com/alicebob/miniredis/...",
			"github.com/pb33f/..."},
	},
	{
		name:   "functions start fast",
		reason: "linking the SDK's config package costs 2 ms of every cold start, used or not, the ssm client 1.3 ms, and templates 2.6 MB",
		from:   []string{"./functions/..."}, indirect: true,
		to: []string{"github.com/aws/aws-sdk-go-v2/config/...", "github.com/aws/aws-sdk-go-v2/service/ssm/...", "text/template/...", "net/rpc/..."},
	},
	{
		name:   "functions without a cache link none",
		reason: "the usage API starts as fast, and fails as seldom, as its own work allows",
		from:   []string{"./functions/..."}, except: []string{"./functions/process-message", "./functions/welcome-bootstrap"},
		to: []string{"./internal/valkey", "./internal/dynamo/cachetable", "github.com/valkey-io/..."}, indirect: true,
	},
	{
		name:   "stand-ins don't know the system",
		reason: "one that shared code with what it is tested against would be wrong in the same way",
		from:   standIns,
		to:     slices.Concat(domain, adapters), indirect: true,
	},
}

// pkg is a package as `go list -json` describes it.
type pkg struct {
	ImportPath string
	Imports    []string // direct imports, without those of tests
	Deps       []string // direct and indirect imports
}

// matches reports whether an import path fits a pattern.
func matches(pattern, path string) bool {
	if own, ok := strings.CutPrefix(pattern, "./"); ok {
		if own == "..." {
			return path == module || strings.HasPrefix(path, module+"/")
		}
		pattern = module + "/" + own
	}
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == root || strings.HasPrefix(path, root+"/")
	}
	return path == pattern
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, path) })
}

// violations returns the imports that break the rule, as "importer imports imported".
func (r rule) violations(packages []pkg) []string {
	var found []string
	for _, p := range packages {
		if !matchesAny(r.from, p.ImportPath) || matchesAny(r.except, p.ImportPath) {
			continue
		}
		imports, verb := p.Imports, "imports"
		if r.indirect {
			imports, verb = p.Deps, "links"
		}
		var forbidden []string
		matched := make(map[string]bool)
		for _, imported := range imports {
			i := slices.IndexFunc(r.to, func(pattern string) bool { return matches(pattern, imported) })
			if i >= 0 && !matches(r.to[i], p.ImportPath) { // packages of one pattern may import one another
				matched[r.to[i]] = true
				forbidden = append(forbidden, fmt.Sprintf("%s %s %s", p.ImportPath, verb, imported))
			}
		}
		if len(matched) > r.atMost {
			found = append(found, forbidden...)
		}
	}
	return found
}

// list returns the module's packages, with the build tags of functions.
func list(t *testing.T) []pkg {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-tags", "lambda.norpc", "-json=ImportPath,Imports,Deps", module+"/...")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []pkg
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("decoding the output of go list: %v", err)
		}
		packages = append(packages, p)
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, violation := range r.violations(packages) {
				t.Errorf("%s: %s", violation, r.reason)
			}
			// A pattern that fits no package, after a rename for example, would forbid nothing.
			for _, pattern := range slices.Concat(r.from, r.except, r.to) {
				isOwn := strings.HasPrefix(pattern, "./")
				if isOwn && !slices.ContainsFunc(packages, func(p pkg) bool { return matches(pattern, p.ImportPath) }) {
					t.Errorf("no package is %s", pattern)
				}
			}
		})
	}
}

// groupsOf returns the names of the groups that a package is in, in order.
func groupsOf(path string) []string {
	var in []string
	for name, patterns := range groups {
		if matchesAny(patterns, path) {
			in = append(in, name)
		}
	}
	slices.Sort(in)
	return in
}

// TestGroups: no rule would bind a package in no group, and contradicting rules would bind a package in two.
func TestGroups(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for _, p := range packages {
		if in := groupsOf(p.ImportPath); len(in) != 1 {
			t.Errorf("%s is in the groups %v; want exactly one", p.ImportPath, in)
		}
	}
	for name, patterns := range groups {
		for _, pattern := range patterns {
			if !slices.ContainsFunc(packages, func(p pkg) bool { return matches(pattern, p.ImportPath) }) {
				t.Errorf("group %s: no package is %s", name, pattern)
			}
		}
	}
	for path, want := range map[string][]string{
		"internal/helper": nil, "internal/usage": {"domain"}, "internal/usagereport": nil, "internal/local/helper": nil,
		"internal/test/anything": {"suites"}, "functions/any": {"joiners"},
	} {
		if diff := cmp.Diff(want, groupsOf(module+"/"+path)); diff != "" {
			t.Errorf("groups of %s (-want +got):\n%s", path, diff)
		}
	}
}

// TestDeployedWing: every package directly below internal/ runs on AWS, so that a listing of the folder shows the deployed
// code.
func TestDeployedWing(t *testing.T) {
	t.Parallel()
	packages := list(t)
	linked := make(map[string]bool)
	for _, p := range packages {
		if matches("./functions/...", p.ImportPath) {
			for _, dep := range p.Deps {
				linked[dep] = true
			}
		}
	}
	for _, p := range packages {
		if matchesAny(deployed, p.ImportPath) && !linked[p.ImportPath] {
			t.Errorf("%s is linked by no function: it belongs below internal/local, internal/test or internal/cmd", p.ImportPath)
		}
	}
}

// TestRulesCanBreak applies each rule to a package that breaks it, and to a package that only seems to break it.
func TestRulesCanBreak(t *testing.T) {
	t.Parallel()
	own := func(path string) string { return module + "/" + path }
	for _, test := range []struct {
		rule          string
		from          string
		imports, deps []string // deps are the indirect ones
		want          []string // the forbidden imports
	}{
		{"the domain knows no technology", own("internal/usage"),
			[]string{"time", own("internal/restaurant"), "github.com/aws/aws-lambda-go/events"}, nil,
			[]string{"github.com/aws/aws-lambda-go/events"}},
		{"the domain knows no technology", own("internal/credential"), []string{own("internal/helper")},
			[]string{"github.com/valkey-io/valkey-go/internal/cmds", own("internal/dynamo")},
			[]string{"github.com/valkey-io/valkey-go/internal/cmds", own("internal/dynamo")}},
		{"the domain knows no technology", own("internal/usagereport"), []string{"github.com/aws/aws-sdk-go-v2/aws"}, nil, nil},
		{"adapters don't know one another", own("internal/dynamo"), []string{own("internal/valkey")}, nil, []string{own("internal/valkey")}},
		{"adapters don't know one another", own("internal/twilio"), []string{own("internal/outbound")}, []string{own("internal/sufrah")},
			[]string{own("internal/sufrah")}},
		{"adapters don't know one another", own("internal/dynamo"), []string{own("internal/local/dynamolocal")}, nil, nil},
		{"adapters don't know one another", own("internal/dynamo/ranking"), []string{own("internal/dynamo/table")}, []string{own("internal/twilio")},
			[]string{own("internal/twilio")}},
		{"adapters are joined in one place", own("internal/local/demo"), []string{own("internal/dynamo/table"), own("internal/dynamo/schema")}, nil, nil},
		{"adapters are joined in one place", own("internal/local/demo"), []string{own("internal/dynamo"), own("internal/valkey")}, nil,
			[]string{own("internal/dynamo"), own("internal/valkey")}},
		{"foundations know no adapter", own("internal/logging"), []string{own("internal/usage")}, []string{own("internal/twilio")},
			[]string{own("internal/twilio")}},
		{"adapters are joined in one place", own("internal/localhost"), []string{own("internal/sufrah"), own("internal/twilio")}, nil,
			[]string{own("internal/sufrah"), own("internal/twilio")}},
		{"adapters are joined in one place", own("internal/webhook"), []string{own("internal/twilio")}, nil, nil},
		{"adapters are joined in one place", own("internal/local/devstack"), []string{own("internal/dynamo"), own("internal/lambdahttp")}, nil, nil},
		{"adapters are joined in one place", own("internal/local/demo"), nil, []string{own("internal/dynamo"), own("internal/valkey")}, nil},
		{"drivers stay in the adapters", own("internal/logging"), []string{"github.com/awslabs/aws-lambda-go-api-proxy/core"}, nil,
			[]string{"github.com/awslabs/aws-lambda-go-api-proxy/core"}},
		{"drivers stay in the adapters", own("internal/valkey"), []string{"github.com/valkey-io/valkey-go"}, nil, nil},
		{"functions link nothing local", own("functions/usage-api"), []string{own("internal/local/demo")}, []string{own("internal/test/storetest")},
			[]string{own("internal/local/demo"), own("internal/test/storetest")}},
		{"functions link nothing local", own("internal/cmd/dev"), []string{own("internal/local/devstack")}, nil, nil},
		{"functions link no tests", own("functions/usage-api"), nil, []string{"testing", "testing/fstest", "net/http"},
			[]string{"testing", "testing/fstest"}},
		{"functions start fast", own("functions/usage-api"), nil,
			[]string{"github.com/aws/aws-sdk-go-v2/config", "github.com/aws/aws-sdk-go-v2/internal/configsources", "html/template"},
			[]string{"github.com/aws/aws-sdk-go-v2/config"}},
		{"functions without a cache link none", own("functions/usage-api"), nil,
			[]string{own("internal/dynamo/table"), own("internal/dynamo/cachetable")}, []string{own("internal/dynamo/cachetable")}},
		{"functions without a cache link none", own("functions/process-message"), nil, []string{own("internal/valkey")}, nil},
		{"stand-ins don't know the system", own("internal/local/sandbox"), []string{own("internal/twilio")}, nil, []string{own("internal/twilio")}},
	} {
		i := slices.IndexFunc(rules, func(r rule) bool { return r.name == test.rule })
		if i < 0 {
			t.Errorf("there is no rule %q", test.rule)
			continue
		}
		var got []string
		for _, violation := range rules[i].violations([]pkg{{test.from, test.imports, append(test.deps, test.imports...)}}) {
			got = append(got, violation[strings.LastIndex(violation, " ")+1:])
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", test.rule, test.from, diff)
		}
	}
	for _, r := range rules {
		if r.reason == "" {
			t.Errorf("rule %q has no reason", r.name)
		}
	}
}
