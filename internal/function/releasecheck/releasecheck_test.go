package releasecheck

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/health"
)

// account stands for CodeDeploy with one deployment, and Lambda with the deployment's version.
type account struct {
	targets  string // of the deployment, as JSON
	version  func(attempt int) (status int, functionError, payload string)
	mu       sync.Mutex
	invoked  []string
	payloads []string
	told     []map[string]string
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch target := r.Header.Get("X-Amz-Target"); target {
	case "":
		name, _ := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/")
		a.invoked, a.payloads = append(a.invoked, name), append(a.payloads, string(body))
		status, functionError, payload := a.version(len(a.invoked))
		if functionError != "" {
			w.Header().Set("X-Amz-Function-Error", functionError)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, payload)
	case "CodeDeploy_20141006.ListDeploymentTargets":
		_, _ = io.WriteString(w, `{"targetIds": ["sufrah-prod-usage-admin:live"]}`)
	case "CodeDeploy_20141006.BatchGetDeploymentTargets":
		_, _ = io.WriteString(w, a.targets)
	case "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus":
		var told map[string]string
		_ = json.Unmarshal(body, &told)
		a.told = append(a.told, told)
		_, _ = io.WriteString(w, `{}`)
	default:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type": "UnknownOperationException"}`)
	}
}

const oneVersion = `{"deploymentTargets": [{"deploymentTargetType": "LambdaFunction", "lambdaTarget": {"lambdaFunctionInfo":
	{"functionName": "sufrah-prod-usage-admin", "functionAlias": "live", "currentVersion": "41", "targetVersion": "42"}}}]}`

func report(t *testing.T, checks ...health.Result) string {
	t.Helper()
	r := health.Report{Healthy: true, Checks: append([]health.Result{}, checks...)}
	for _, c := range checks {
		r.Healthy = r.Healthy && c.Error == ""
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatalf("encoding the JSON: %v", err)
	}
	return string(text)
}

func TestReleases(t *testing.T) {
	t.Parallel()
	well := report(t, health.Result{Name: "table a"})
	ill := report(t, health.Result{Name: "table a"}, health.Result{Name: "cache", Error: "it doesn't answer"})
	for name, test := range map[string]struct {
		targets string
		version func(int) (int, string, string)
		status  string
		invoked int
		says    string
	}{
		"well":               {oneVersion, func(int) (int, string, string) { return 200, "", well }, "Succeeded", 1, "release accepted"},
		"well after seconds": {oneVersion, func(n int) (int, string, string) { return 200, "", map[bool]string{true: ill, false: well}[n < 3] }, "Succeeded", 3, "not healthy"},
		"it doesn't start": {
			oneVersion, func(int) (int, string, string) { return 200, "Unhandled", `{"errorType":"Runtime.ExitError"}` }, "Failed", attempts, "Runtime.ExitError",
		},
		"it lacks the cache": {oneVersion, func(int) (int, string, string) { return 200, "", ill }, "Failed", attempts, "cache: it doesn't answer"},
		"it isn't there":     {oneVersion, func(int) (int, string, string) { return 404, "", `{"Type": "User", "Message": "Function not found"}` }, "Failed", attempts, "Function not found"},
		"it knows no health event": {
			oneVersion, func(int) (int, string, string) { return 200, "", `{"statusCode": 400}` }, "Failed", attempts, "not a health report",
		},
		"the deployment has no version": {`{"deploymentTargets": []}`, nil, "Failed", 0, "no function version to check"},
		"the deployment isn't there":    {`no JSON`, nil, "Failed", 0, "looking up the deployment's targets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{targets: test.targets, version: test.version}
			server := httptest.NewServer(a)
			t.Cleanup(server.Close)
			var log bytes.Buffer
			handle, err := newChecker(config.Environment{
				"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b",
				"AWS_ENDPOINT_URL_CODEDEPLOY=" + server.URL, "AWS_ENDPOINT_URL_LAMBDA=" + server.URL,
			}, &log)
			if err != nil {
				t.Fatalf("assembling the release check: %v", err)
			}
			handle.pause = time.Millisecond
			if err := handle.handle(t.Context(), Hook{DeploymentID: "d-1", ExecutionID: "e-1"}); err != nil {
				t.Fatalf("invoking the function: %v", err)
			}
			want := []map[string]string{{"deploymentId": "d-1", "lifecycleEventHookExecutionId": "e-1", "status": test.status}}
			if diff := cmp.Diff(want, a.told); diff != "" {
				t.Errorf("CodeDeploy was told (-want +got):\n%s", diff)
			}
			if len(a.invoked) != test.invoked || !strings.Contains(log.String(), test.says) {
				t.Errorf("%d invocations, want %d; log %s", len(a.invoked), test.invoked, &log)
			}
			for i, name := range a.invoked {
				if name != "sufrah-prod-usage-admin:42/invocations" || a.payloads[i] != health.Event {
					t.Errorf("invoked %s with %s", name, a.payloads[i])
				}
			}
		})
	}
}

// TestNobodyIsTold: if CodeDeploy can't be answered, the invocation fails, so that Lambda repeats it.
func TestNobodyIsTold(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	handle, err := New(config.Environment{
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b",
		"AWS_ENDPOINT_URL_CODEDEPLOY=" + server.URL, "AWS_ENDPOINT_URL_LAMBDA=" + server.URL,
	}, time.Now, io.Discard)
	if err != nil {
		t.Fatalf("assembling the release check: %v", err)
	}
	if err := handle(t.Context(), Hook{}); err == nil {
		t.Error("no error")
	}
	if _, err := New(nil, time.Now, io.Discard); err == nil {
		t.Error("no error without an environment")
	}
}
