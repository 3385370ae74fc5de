package bootstrap_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newJob(merchantID string) bootstrap.Job {
	return bootstrap.Job{
		Version: bootstrap.Version, JobID: "job-SM" + merchantID, RestaurantID: "clxyz123abc", MerchantID: merchantID,
		CustomerWa: "+966501234567", ProfileName: "محمد & <Sons>", EnqueuedAt: start,
	}
}

func encode(t testing.TB, j any) []byte {
	t.Helper()
	body, err := json.Marshal(j)
	if err != nil {
		t.Fatalf("encoding the JSON: %v", err)
	}
	return body
}

func TestJobComesBackAsItWasSent(t *testing.T) {
	t.Parallel()
	valid := newJob("merchant-1")
	got, err := bootstrap.ParseJob(append(encode(t, valid), '\n'))
	if diff := cmp.Diff(valid, got); err != nil || diff != "" {
		t.Errorf("the worker reads another job than was enqueued, error %v (-want +got):\n%s", err, diff)
	}
	withMore := strings.Replace(string(encode(t, valid)), "{", `{"later":{"a":[1]},`, 1)
	if _, err := bootstrap.ParseJob([]byte(withMore)); err != nil {
		t.Errorf("a job with a field of a later version is refused: %v; jobs would be lost during a deployment", err)
	}
}

func TestMalformedJobIsRefused(t *testing.T) {
	t.Parallel()
	changed := func(change func(*bootstrap.Job)) string {
		j := newJob("merchant-1")
		change(&j)
		return string(encode(t, j))
	}
	for name, body := range map[string]string{
		"nothing":                   "",
		"no JSON":                   "hello",
		"a list":                    "[]",
		"null":                      "null",
		"half a job":                changed(func(*bootstrap.Job) {})[:40],
		"two jobs":                  changed(func(*bootstrap.Job) {}) + changed(func(*bootstrap.Job) {}),
		"a large job":               changed(func(j *bootstrap.Job) { j.ProfileName = strings.Repeat(" ", 20_000) }),
		"another version":           changed(func(j *bootstrap.Job) { j.Version = 2 }),
		"no job id":                 changed(func(j *bootstrap.Job) { j.JobID = "" }),
		"a job id of two lines":     changed(func(j *bootstrap.Job) { j.JobID = "a\nb" }),
		"no restaurant":             changed(func(j *bootstrap.Job) { j.RestaurantID = "" }),
		"a path for a merchant":     changed(func(j *bootstrap.Job) { j.MerchantID = "../admin" }),
		"a number that isn't one":   changed(func(j *bootstrap.Job) { j.CustomerWa = "whatsapp:+966501234567" }),
		"a profile name too long":   changed(func(j *bootstrap.Job) { j.ProfileName = strings.Repeat("م", 257) }),
		"no time":                   changed(func(j *bootstrap.Job) { j.EnqueuedAt = time.Time{} }),
		"a version of another type": strings.Replace(changed(func(*bootstrap.Job) {}), `"version":1`, `"version":"1"`, 1),
	} {
		got, err := bootstrap.ParseJob([]byte(body))
		if !errors.Is(err, bootstrap.ErrMalformed) || got != (bootstrap.Job{}) {
			t.Errorf("a job with %s is read as %+v with the error %v, want ErrMalformed", name, got, err)
		}
	}
}

// FuzzParseJob: every accepted job is valid, and stays the same when it is sent again.
func FuzzParseJob(f *testing.F) {
	f.Add(encode(f, newJob("merchant-1")))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		j, err := bootstrap.ParseJob(body)
		if err != nil {
			if !errors.Is(err, bootstrap.ErrMalformed) {
				t.Fatalf("the job %q fails with %v, want ErrMalformed, which keeps it from being tried for ever", body, err)
			}
			return
		}
		again, err := bootstrap.ParseJob(encode(t, j))
		if err != nil || !cmp.Equal(j, again) {
			t.Fatalf("the job %+v, sent again, is read as %+v (error %v), want the same", j, again, err)
		}
	})
}
