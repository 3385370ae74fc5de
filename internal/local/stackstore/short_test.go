package stackstore_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain makes property tests try only a few cases with -short, because each case has a store of its own. Rapid by itself
// would only reduce them to a fifth.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		if err := flag.Set("rapid.checks", "15"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
