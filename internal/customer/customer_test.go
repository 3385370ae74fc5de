package customer_test

import (
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/customer"
)

func TestParse(t *testing.T) {
	t.Parallel()
	long := "SA." + strings.Repeat("7", 128)
	for text, want := range map[string]string{
		"+966500000001":                    "+966500000001",
		"whatsapp:+966 50 000 0001":        "+966500000001",
		"SA.13491208655302741918":          "SA.13491208655302741918",
		"whatsapp:SA.13491208655302741918": "SA.13491208655302741918",
		"US.aBc9":                          "US.aBc9",
		long:                               long,
		long + "7":                         "",
		"SA.":                              "",
		"sa.123":                           "",
		"SAU.123":                          "",
		"SA.12-3":                          "",
		"SA.12.3":                          "",
		"S٣.123":                           "",
		"+SA.123":                          "",
		"whatsapp:+SA.123":                 "",
		"966500000001":                     "",
		"":                                 "",
		"whatsapp:":                        "",
	} {
		got, err := customer.Parse(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
		if want != "" && (!customer.Valid(want) || customer.Address(want) != "whatsapp:"+want) {
			t.Errorf("%q isn't valid, or its address is %q", want, customer.Address(want))
		}
	}
	if customer.Valid("whatsapp:SA.1") || customer.Valid("+966 500000001") {
		t.Error("an id in another form is valid")
	}
}
