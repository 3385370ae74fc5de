//go:build aws

package cachetest_test

import (
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
)

func TestEngineContract(t *testing.T) {
	t.Parallel()
	cachetest.Exercise(t, func(t *testing.T) cachetest.Server { return cachetest.OnEngine(t) })
}
