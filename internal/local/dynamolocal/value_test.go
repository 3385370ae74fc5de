package dynamolocal

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseDecimal(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"0", "0"}, {"-0", "0"}, {"0.000", "0"}, {"0e999999999999", "0"}, {"+5", "5"}, {"005", "5"}, {".5", "0.5"}, {"5.", "5"},
		{"0.10", "0.1"}, {"-1.50", "-1.5"}, {"1e3", "1000"}, {"1E+3", "1000"}, {"12.5e-3", "0.0125"}, {"1200e-2", "12"},
		{"1e125", "1" + strings.Repeat("0", 125)}, {"1e-130", "0." + strings.Repeat("0", 129) + "1"},
		{"1.2345678901234567890123456789012345678", "1.2345678901234567890123456789012345678"},
		{strings.Repeat("9", 38) + "e88", strings.Repeat("9", 38) + strings.Repeat("0", 88)},
		{"1e126", ""}, {"-1e126", ""}, {"1e-131", ""}, {strings.Repeat("9", 39), ""}, {"1e99999999999999999999", ""},
		{"", ""}, {"-", ""}, {".", ""}, {"e5", ""}, {"1e", ""}, {"1e+", ""}, {"1e+-5", ""}, {"1e1.5", ""}, {"--1", ""}, {"1-", ""},
		{" 1", ""}, {"1 ", ""}, {"0x1", ""}, {"1_0", ""}, {"1.2.3", ""}, {"NaN", ""}, {"Infinity", ""}, {"٣", ""},
	}
	for _, test := range tests {
		d, err := parseDecimal(test.text)
		switch {
		case test.want == "" && err == nil:
			t.Errorf("%q: got %s, want an error", test.text, d.plain())
		case test.want != "" && (err != nil || d.plain() != test.want):
			t.Errorf("%q: got %s, %v; want %s", test.text, d.plain(), err, test.want)
		}
	}
}

// anyDecimal draws the text of a number. The digits of any two such numbers are at most 30 places apart.
func anyDecimal() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		digits := rapid.StringMatching(`-?[0-9]{1,12}`).Draw(t, "digits")
		return fmt.Sprintf("%se%d", digits, rapid.IntRange(-9, 9).Draw(t, "exponent"))
	})
}

func TestDecimalsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x, y := anyDecimal().Draw(t, "x"), anyDecimal().Draw(t, "y")
		a, errA := parseDecimal(x)
		b, errB := parseDecimal(y)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		exactA, _ := new(big.Rat).SetString(x)
		exactB, _ := new(big.Rat).SetString(y)
		if again, err := parseDecimal(a.plain()); err != nil || again != a {
			t.Errorf("%s: %s read again is %v, %v", x, a.plain(), again, err)
		}
		if got, want := strings.Compare(a.sortable(), b.sortable()), exactA.Cmp(exactB); got != want {
			t.Errorf("comparing %s and %s: got %d, want %d", x, y, got, want)
		}
		sum, err := a.add(b)
		if got, _ := new(big.Rat).SetString(sum.plain()); err != nil || got.Cmp(exactA.Add(exactA, exactB)) != 0 {
			t.Errorf("%s + %s: got %s, %v", x, y, sum.plain(), err)
		}
		if back, err := sum.add(b.negated()); err != nil || back != a {
			t.Errorf("%s + %s - %s: got %s, %v", x, y, y, back.plain(), err)
		}
	})
}

func TestSizes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		wire string
		want int // the size that Amazon's DynamoDB Local counts
	}{
		{`{"S":""}`, 0}, {`{"S":"é"}`, 2}, {`{"B":"YWJj"}`, 3}, {`{"BOOL":false}`, 1}, {`{"NULL":true}`, 1},
		{`{"L":[]}`, 3}, {`{"L":[{"S":"a"}]}`, 5}, {`{"L":[{"L":[]}]}`, 7}, {`{"M":{}}`, 3}, {`{"M":{"k":{"S":"a"}}}`, 6},
		{`{"M":{"k":{"S":"a"},"l":{"N":"1"}}}`, 10}, {`{"SS":["a","bc"]}`, 3}, {`{"NS":["1","22","333"]}`, 7}, {`{"BS":["YQ==","YWI="]}`, 3},
		{`{"N":"0"}`, 1}, {`{"N":"1"}`, 2}, {`{"N":"100"}`, 2}, {`{"N":"12"}`, 2}, {`{"N":"123"}`, 3}, {`{"N":"12345"}`, 4},
		{`{"N":"-1"}`, 3}, {`{"N":"-123"}`, 4}, {`{"N":"0.001"}`, 2}, {`{"N":"1.5"}`, 3}, {`{"N":"123.45"}`, 4}, {`{"N":"10.01"}`, 3},
		{`{"N":"1e21"}`, 2}, {`{"N":"12345678901234567890123456789012345678"}`, 20}, {`{"N":"1e-130"}`, 2},
	}
	for _, test := range tests {
		v, err := decodeValue([]byte(test.wire), 1)
		if err != nil {
			t.Fatalf("decoding the value: %v", err)
		}
		if got := (document{{"name", v}}).size(); got != len("name")+test.want {
			t.Errorf("%s: got %d, want %d", test.wire, got-len("name"), test.want)
		}
	}
}

func TestOrderedIsASortedMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kept, model := new(ordered), make(map[string]document)
		// Long runs of neighbouring keys split blocks; few distinct keys make repeats and removals likely.
		key := rapid.Map(rapid.IntRange(0, 2000), func(n int) string { return fmt.Sprintf("%04d", n) })
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			first := rapid.IntRange(0, 1500).Draw(t, "first")
			count := rapid.IntRange(1, 700).Draw(t, "count")
			remove := rapid.Bool().Draw(t, "remove")
			for n := first; n < first+count; n++ {
				name := fmt.Sprintf("%04d", n)
				if remove {
					kept.remove(name)
					delete(model, name)
				} else {
					item := document{{name, boolValue(true)}}
					kept.put(name, item)
					model[name] = item
				}
			}
		}
		if kept.length != len(model) {
			t.Fatalf("length is %d, want %d", kept.length, len(model))
		}
		low, high := key.Draw(t, "low"), key.Draw(t, "high")
		var want, ascending, descending []string
		for name := range model {
			if low <= name && name < high {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		for r := range kept.between(low, high, true) {
			ascending = append(ascending, r.key)
		}
		for r := range kept.between(low, high, false) {
			descending = append(descending, r.key)
		}
		slices.Reverse(descending)
		if !slices.Equal(ascending, want) || !slices.Equal(descending, want) {
			t.Fatalf("between %s and %s: got %v and %v, want %v", low, high, ascending, descending, want)
		}
		one := key.Draw(t, "one")
		if got, want := kept.get(one) != nil, model[one] != nil; got != want {
			t.Fatalf("%s is there: %t, want %t", one, got, want)
		}
	})
}

func TestReservedWords(t *testing.T) {
	t.Parallel()
	words := strings.Fields(reservedWords)
	if len(words) != 573 || !slices.IsSorted(words) {
		t.Errorf("there are %d words, sorted: %t; the developer guide has 573", len(words), slices.IsSorted(words))
	}
	for word, want := range map[string]bool{"name": true, "Name": true, "ABORT": true, "zone": true, "names2": false, "restaurant": false} {
		if got := reserved(word); got != want {
			t.Errorf("%s is reserved: %t, want %t", word, got, want)
		}
	}
}
