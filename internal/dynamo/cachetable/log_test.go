package cachetable

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/startlog"
)

// TestLogsAreReadAsTheyWereWritten: a log is read as it was written, and a log that was cut off isn't read at all.
func TestLogsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	at := rapid.Int64Range(-1<<60, 1<<60)
	rapid.Check(t, func(t *rapid.T) {
		log := startlog.Log{Epoch: at.Draw(t, "epoch"), Starts: rapid.SliceOf(at).Draw(t, "starts")}
		for range rapid.IntRange(0, 20).Draw(t, "waiting") {
			log.Waiting = append(log.Waiting, startlog.Waiter{Name: string(rapid.SliceOfN(rapid.Byte(), nameBytes, nameBytes).Draw(t, "name")), At: at.Draw(t, "at")})
		}
		b := encoded(log)
		got, err := decoded(b)
		if diff := cmp.Diff(log, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("read %v (-written +read):\n%s", err, diff)
		}
		if _, err := decoded(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); err == nil {
			t.Fatal("what was cut off is read")
		}
		_, _ = decoded(rapid.SliceOf(rapid.Byte()).Draw(t, "anything")) // must not panic
	})
}
