package credential_test

import (
	"context"
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/credential"
)

// guesses returns ever better guesses of a raw value: each has one more character in common with it.
func guesses(raw string) []string {
	all := make([]string, len(raw))
	for i := range all {
		guess := []byte(raw)
		for j := i; j < len(guess); j++ {
			guess[j] ^= 1
		}
		all[i] = string(guess)
	}
	return all
}

// TestGuessesTellNothing: a nearly right guess costs the same look-up as any other. Its hash, which is looked up and
// compared, is no closer to the right hash: about half of its bits differ, for every guess. So neither the number of steps
// nor their time tells how close a guess is.
func TestGuessesTellNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	raw, c := f.issued(t, credential.Grant{Kind: credential.PAT, All: true})
	var asked []credential.Hash
	f.finder.find = func(ctx context.Context, hash credential.Hash) (credential.Credential, error) {
		asked = append(asked, hash)
		return f.finder.Store.FindCredential(ctx, hash)
	}
	for _, guess := range guesses(raw) {
		before := len(asked)
		f.want(t, credential.PAT, guess, credential.ErrUnknown)
		if len(asked) != before+1 {
			t.Fatalf("%q costs %d look-ups, want 1", guess, len(asked)-before)
		}
		differing := 0
		for i, b := range asked[before] {
			differing += bits.OnesCount8(b ^ c.Hash[i])
		}
		// Eight standard deviations from the middle: no hash will ever be so far off.
		if middle := 4 * len(c.Hash); differing < middle-64 || differing > middle+64 {
			t.Errorf("what is looked up for %q differs from the right one in %d bits", guess, differing)
		}
	}
}

// BenchmarkGuess measures the worst and the best guess in turns, and reports the ratio of their medians. A ratio of 1 reveals
// nothing.
func BenchmarkGuess(b *testing.B) {
	f := setup(b)
	raw, c, err := credential.Issue(zeros{}, start, credential.Grant{Kind: credential.PAT, All: true})
	if err != nil {
		b.Fatalf("issuing the credential: %v", err)
	}
	if err := f.finder.AddCredential(b.Context(), c); err != nil {
		b.Fatalf("storing the credential: %v", err)
	}
	all := guesses(raw)
	worst, best := all[0], all[len(all)-1]
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, guess := range []string{worst, best} {
			begin := time.Now()
			for range 100 {
				if _, err := f.Authenticate(b.Context(), credential.PAT, guess); err == nil {
					b.Fatal("a guess was right")
				}
			}
			took[guess] = append(took[guess], time.Since(begin))
		}
	}
	median := func(guess string) float64 {
		return float64(slices.Sorted(slices.Values(took[guess]))[len(took[guess])/2])
	}
	b.ReportMetric(median(best)/median(worst), "best/worst")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
