package cachetest_test

import (
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	for name, open := range cachetest.Kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cachetest.Exercise(t, open)
		})
	}
}
