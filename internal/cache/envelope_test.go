package cache

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// TestEnvelopeForm fails when the form of a cached type changes: formatVersion must change too, so that instances of two
// versions don't misread each other's values.
func TestEnvelopeForm(t *testing.T) {
	t.Parallel()
	degrees := 24.5
	at := time.UnixMilli(1795435200123)
	categories, err := seal([]menu.Category{{
		ID: "c", DisplayOrder: 1, Name: menu.Text{Arabic: "شاي", English: "Tea"}, Description: menu.Text{English: "Hot"}, ImageURL: "u",
	}}, at)
	if err != nil {
		t.Fatal(err)
	}
	branches, err := seal([]menu.Branch{{
		ID: "b", Name: menu.Text{English: "Main"}, Address: menu.Text{English: "Road"}, Phone: "1",
		Latitude: &degrees, District: "d", City: menu.Text{English: "Riyadh"},
	}}, at)
	if err != nil {
		t.Fatal(err)
	}
	want := `1 1795435200123 [{"ID":"c","DisplayOrder":1,"Name":{"Arabic":"شاي","English":"Tea"},` +
		`"Description":{"Arabic":"","English":"Hot"},"ImageURL":"u"}]` + "\n" +
		`1 1795435200123 [{"ID":"b","Name":{"Arabic":"","English":"Main"},"Address":{"Arabic":"","English":"Road"},"Phone":"1",` +
		`"Latitude":24.5,"Longitude":null,"District":"d","City":{"Arabic":"","English":"Riyadh"}}]`
	if diff := cmp.Diff(want, string(categories)+"\n"+string(branches)); diff != "" {
		t.Errorf("the form has changed (-want +got):\n%s", diff)
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	t.Parallel()
	text := rapid.Custom(func(t *rapid.T) menu.Text {
		return menu.Text{Arabic: rapid.String().Draw(t, "arabic"), English: rapid.String().Draw(t, "english")}
	})
	branch := rapid.Custom(func(t *rapid.T) menu.Branch {
		return menu.Branch{
			ID: rapid.String().Draw(t, "id"), Name: text.Draw(t, "name"), Address: text.Draw(t, "address"),
			Latitude:  rapid.Ptr(rapid.Float64Range(-90, 90), true).Draw(t, "latitude"),
			Longitude: rapid.Ptr(rapid.Float64Range(-180, 180), true).Draw(t, "longitude"),
			City:      text.Draw(t, "city"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(branch, 0, 5).Draw(t, "value")
		at := time.UnixMilli(rapid.Int64().Draw(t, "ms"))
		sealed, err := seal(value, at)
		if err != nil {
			t.Fatal(err)
		}
		got, gotAt, ok := open[[]menu.Branch](sealed)
		if !ok || !gotAt.Equal(at) || !cmp.Equal(value, got) {
			t.Fatalf("%s opens as %v, %v, %t", sealed, got, gotAt, ok)
		}
		if cut := rapid.IntRange(0, len(sealed)-1).Draw(t, "cut"); cut < len(sealed) {
			if _, _, ok := open[[]menu.Branch](sealed[:cut]); ok {
				t.Fatalf("%q opens although it was cut off", sealed[:cut])
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	for _, seed := range []string{"", "1 ", "1 0 []", "2 0 []", `1 1795435200123 [{"ID":"c","Name":{"Arabic":"شاي"}}]`, "1 0 null"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sealed []byte) {
		value, at, ok := open[[]menu.Category](sealed)
		if !ok {
			if value != nil || !at.IsZero() {
				t.Errorf("something came out of %q", sealed)
			}
			return
		}
		again, err := seal(value, at)
		if err != nil {
			t.Fatal(err)
		}
		value2, at2, ok := open[[]menu.Category](again)
		if !ok || !at2.Equal(at) || !cmp.Equal(value, value2) || !bytes.HasPrefix(sealed, []byte("1 ")) {
			t.Errorf("%q opens, and %q, which should be the same, as %v, %v, %t", sealed, again, value2, at2, ok)
		}
	})
}
