package stackstore_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain has properties tried only a few times with -short, since each try has a store of its own. Rapid itself takes a
// fifth of its checks then.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		if err := flag.Set("rapid.checks", "15"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
