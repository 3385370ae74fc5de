package credential_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/credential"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var (
	tokenGrant = credential.Grant{Kind: credential.PAT, Restaurants: []string{"r1", "r2"}, Label: "صاحب المطعم",
		ExpiresAt: start.Add(time.Hour)}
	keyGrant = credential.Grant{Kind: credential.APIKey, Label: "administrator"}
)

// issue returns a new raw value for g and the credential to store.
func issue(t *testing.T, g credential.Grant) (string, credential.Credential) {
	t.Helper()
	raw, c, err := credential.Issue(rand.Reader, start, g)
	if err != nil {
		t.Fatalf("issuing the credential: %v", err)
	}
	return raw, c
}

func TestIssue(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		grant  credential.Grant
		prefix string
		want   credential.Credential
	}{
		"token": {tokenGrant, "sufrah_pat_", credential.Credential{Kind: credential.PAT, Restaurants: []string{"r1", "r2"},
			Label: "صاحب المطعم", CreatedAt: start, ExpiresAt: start.Add(time.Hour)}},
		"token for all": {credential.Grant{Kind: credential.PAT, All: true}, "sufrah_pat_",
			credential.Credential{Kind: credential.PAT, All: true, CreatedAt: start}},
		"key": {keyGrant, "sufrah_key_", credential.Credential{Kind: credential.APIKey, Label: "administrator", CreatedAt: start}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, c := issue(t, test.grant)
			secret, ok := strings.CutPrefix(raw, test.prefix)
			if !ok {
				t.Errorf("%q doesn't begin with %q", raw, test.prefix)
			}
			if b, err := base64.RawURLEncoding.DecodeString(secret); err != nil || len(b) != 32 {
				t.Errorf("the secret part %q holds %d bytes (%v), want 32", secret, len(b), err)
			}
			if !strings.HasPrefix(c.ID, "cr_") || len(c.ID) < 12 {
				t.Errorf("id is %q", c.ID)
			}
			test.want.ID, test.want.Hash = c.ID, sha256.Sum256([]byte(raw))
			if diff := cmp.Diff(test.want, c); diff != "" {
				t.Errorf("credential (-want +got):\n%s", diff)
			}
		})
	}
}

// Somebody who reads the log or the store learns nothing of the raw value, not even from the public id.
func TestOnlyTheHashIsStored(t *testing.T) {
	t.Parallel()
	raw, c := issue(t, tokenGrant)
	secret := strings.TrimPrefix(raw, "sufrah_pat_")
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatalf("encoding the JSON: %v", err)
	}
	for _, shown := range []string{string(encoded), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c)} {
		for i := 0; i+8 <= len(secret); i++ {
			if strings.Contains(shown, secret[i:i+8]) {
				t.Fatalf("%q of the secret is in %s", secret[i:i+8], shown)
			}
		}
	}
}

func TestIssueIsUnique(t *testing.T) {
	t.Parallel()
	const many = 1000
	seen := make(map[string]bool, 3*many)
	for range many {
		raw, c := issue(t, keyGrant)
		seen[raw], seen[c.ID], seen[c.Hash.String()] = true, true, true
	}
	if len(seen) != 3*many {
		t.Errorf("%d credentials have %d different values, ids and hashes, want %d", many, len(seen), 3*many)
	}
}

func TestIssueDrawsFromItsSource(t *testing.T) {
	t.Parallel()
	source := bytes.NewReader(bytes.Repeat([]byte{7}, 1000))
	raw, _, err := credential.Issue(source, start, keyGrant)
	if err != nil {
		t.Fatalf("issuing the credential: %v", err)
	}
	if want := "sufrah_key_" + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)); raw != want {
		t.Errorf("raw value is %q, want %q", raw, want)
	}
}

func TestIssueFails(t *testing.T) {
	t.Parallel()
	exhausted := errors.New("no entropy")
	tests := map[string]struct {
		random io.Reader
		want   error
	}{
		"random fails":         {iotest.ErrReader(exhausted), exhausted},
		"random ends":          {bytes.NewReader(nil), io.EOF},
		"random ends too soon": {bytes.NewReader(make([]byte, 32)), io.ErrUnexpectedEOF},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, c, err := credential.Issue(test.random, start, keyGrant)
			if !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if diff := cmp.Diff(credential.Credential{}, c); raw != "" || diff != "" {
				t.Errorf("a failure issued %q, %+v", raw, c)
			}
		})
	}
	t.Run("the grant is invalid", func(t *testing.T) {
		t.Parallel()
		raw, c, err := credential.Issue(rand.Reader, start, credential.Grant{Kind: "root"})
		if err == nil || raw != "" || c.Hash != (credential.Hash{}) {
			t.Errorf("issued %q, %+v, %v", raw, c, err)
		}
	})
}

func TestIssueKeepsNoHoldOfTheGrant(t *testing.T) {
	t.Parallel()
	restaurants := []string{"r1"}
	_, c := issue(t, credential.Grant{Kind: credential.PAT, Restaurants: restaurants})
	restaurants[0] = "r2"
	if !c.Covers("r1") || c.Covers("r2") {
		t.Errorf("the credential follows the caller's slice: %q", c.Restaurants)
	}
}

func TestGrantValidate(t *testing.T) {
	t.Parallel()
	many := make([]string, 501)
	for i := range many {
		many[i] = fmt.Sprintf("r%d", i)
	}
	token := func(change func(*credential.Grant)) credential.Grant {
		g := credential.Grant{Kind: credential.PAT, Restaurants: []string{"r1"}}
		change(&g)
		return g
	}
	labelled := func(label string) credential.Grant {
		return token(func(g *credential.Grant) { g.Label = label })
	}
	bound := func(ids ...string) credential.Grant {
		return credential.Grant{Kind: credential.PAT, Restaurants: ids}
	}
	expiring := func(at time.Time) credential.Grant {
		return token(func(g *credential.Grant) { g.ExpiresAt = at })
	}
	tests := map[string]struct {
		grant  credential.Grant
		faults []string
	}{
		"token for one":             {bound("r1"), nil},
		"token for 500":             {bound(many[:500]...), nil},
		"token for 501":             {bound(many...), []string{"501 restaurants"}},
		"token for all":             {credential.Grant{Kind: credential.PAT, All: true}, nil},
		"token for none":            {bound(), []string{"name its restaurants"}},
		"token for all and for one": {token(func(g *credential.Grant) { g.All = true }), []string{"name its restaurants"}},
		"token for a star":          {bound("*"), []string{`"*"`}},
		"token for no id":           {bound("r1", "", "a/b"), []string{`""`, `"a/b"`}},
		"key":                       {keyGrant, nil},
		"key for one":               {credential.Grant{Kind: credential.APIKey, Restaurants: []string{"r1"}}, []string{"API key"}},
		"key for all":               {credential.Grant{Kind: credential.APIKey, All: true}, []string{"API key"}},
		"no kind":                   {credential.Grant{}, []string{`kind ""`}},
		"unknown kind":              {credential.Grant{Kind: "root"}, []string{`kind "root"`}},
		"expires later":             {expiring(start.Add(time.Nanosecond)), nil},
		"expires now":               {expiring(start), []string{"expiry"}},
		"expired":                   {expiring(start.Add(-time.Hour)), []string{"expiry"}},
		"label of 100 letters":      {labelled(strings.Repeat("a", 100)), nil},
		"label of 101 letters":      {labelled(strings.Repeat("a", 101)), []string{"label"}},
		"label of 100 in Arabic":    {labelled(strings.Repeat("م", 100)), nil},
		"label of 101 in Arabic":    {labelled(strings.Repeat("م", 101)), []string{"label"}},
		"label with a line break":   {labelled("a\nb"), []string{"label"}},
		"label that is not UTF-8":   {labelled("a\xff"), []string{"label"}},
		"everything wrong of a key": {
			credential.Grant{Kind: credential.APIKey, Restaurants: []string{"?"}, ExpiresAt: start, Label: "\t"},
			[]string{"API key", `"?"`, "expiry", "label"}},
		"everything wrong, no kind": {
			credential.Grant{Restaurants: []string{"?"}, ExpiresAt: start, Label: "\t"},
			[]string{"kind", `"?"`, "expiry", "label"}},
		"everything wrong of tokens": {
			credential.Grant{Kind: credential.PAT, ExpiresAt: start, Label: "\t"},
			[]string{"name its restaurants", "expiry", "label"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.grant.Validate(start)
			if (err != nil) != (len(test.faults) > 0) {
				t.Fatalf("error is %v, want faults %q", err, test.faults)
			}
			for _, fault := range test.faults {
				if !strings.Contains(err.Error(), fault) {
					t.Errorf("error %q doesn't name the fault %q", err, fault)
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	later := start.Add(time.Hour)
	eastern := time.FixedZone("", 3*60*60)
	tests := map[string]struct {
		credential credential.Credential
		now        time.Time
		want       error
	}{
		"for ever":                      {credential.Credential{}, start.AddDate(100, 0, 0), nil},
		"just before its expiry":        {credential.Credential{ExpiresAt: later}, later.Add(-time.Nanosecond), nil},
		"exactly at its expiry":         {credential.Credential{ExpiresAt: later}, later, credential.ErrExpired},
		"after its expiry":              {credential.Credential{ExpiresAt: later}, later.Add(time.Hour), credential.ErrExpired},
		"expiry in another zone":        {credential.Credential{ExpiresAt: later.In(eastern)}, later, credential.ErrExpired},
		"just before its revocation":    {credential.Credential{RevokedAt: later}, later.Add(-time.Nanosecond), nil},
		"exactly at its revocation":     {credential.Credential{RevokedAt: later}, later, credential.ErrRevoked},
		"after its revocation":          {credential.Credential{RevokedAt: later}, later.Add(time.Hour), credential.ErrRevoked},
		"revoked before its expiry":     {credential.Credential{RevokedAt: start, ExpiresAt: later}, start, credential.ErrRevoked},
		"expired before its revocation": {credential.Credential{RevokedAt: later, ExpiresAt: start}, start, credential.ErrExpired},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := test.credential.Check(test.now)
			if !errors.Is(got, test.want) {
				t.Errorf("Check = %v, want %v", got, test.want)
			}
			if test.want != nil && !errors.Is(got, credential.ErrRefused) {
				t.Errorf("%v is not a refusal", got)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	bound := credential.Credential{Kind: credential.PAT, Restaurants: []string{"r1", "r2"}}
	tests := map[string]struct {
		credential credential.Credential
		restaurant string
		want       bool
	}{
		"token's first":       {bound, "r1", true},
		"token's last":        {bound, "r2", true},
		"another's":           {bound, "r3", false},
		"a part of its id":    {bound, "r", false},
		"its id and more":     {bound, "r11", false},
		"its id, capitals":    {bound, "R1", false},
		"none":                {bound, "", false},
		"token for all":       {credential.Credential{Kind: credential.PAT, All: true}, "r3", true},
		"token for none":      {credential.Credential{Kind: credential.PAT}, "r1", false},
		"key":                 {credential.Credential{Kind: credential.APIKey}, "r3", true},
		"of an unknown kind":  {credential.Credential{Kind: "root"}, "r1", false},
		"nothing known of it": {credential.Credential{}, "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.credential.Covers(test.restaurant); got != test.want {
				t.Errorf("Covers(%q) = %t", test.restaurant, got)
			}
		})
	}
}

func TestHashOf(t *testing.T) {
	t.Parallel()
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4's example
	if got := credential.HashOf("abc").String(); got != want {
		t.Errorf("hash of abc is %s, want %s", got, want)
	}
}

func FuzzParseHash(f *testing.F) {
	for _, seed := range []string{
		"", "00", strings.Repeat("0", 63), strings.Repeat("0", 64), strings.Repeat("0", 65), strings.Repeat("0", 66),
		strings.Repeat("F", 64), strings.Repeat("g", 64), credential.HashOf("abc").String(),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := credential.ParseHash(text)
		switch {
		case err == nil && h.String() != strings.ToLower(text):
			t.Errorf("%q was read as %s", text, h)
		case err != nil && len(text) > 3 && strings.Contains(err.Error(), text):
			t.Errorf("the error shows what might be a raw value: %v", err)
		}
		of := credential.HashOf(text)
		if again, err := credential.ParseHash(of.String()); err != nil || again != of {
			t.Errorf("%s was read as %s, %v", of, again, err)
		}
	})
}
