package memory_test

import (
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/test/memory"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Exercise(t, func(*testing.T) storetest.Store { return memory.New() })
}

func TestRecorderContract(t *testing.T) {
	t.Parallel()
	storetest.ExerciseRecorder(t, func(_ testing.TB, calendar usage.Calendar) storetest.Ledger {
		store := memory.New()
		recorder := memory.NewRecorder(store, calendar)
		return storetest.Ledger{Store: store, Recorder: recorder, QuotaAlerter: recorder}
	})
}
