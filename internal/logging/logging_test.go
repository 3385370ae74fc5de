package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/logging"
)

// lines decodes the logged lines.
func lines(t *testing.T, written *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(written.String()) {
		var decoded map[string]any
		if err := json.Unmarshal([]byte(line), &decoded); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, decoded)
	}
	return all
}

func TestLine(t *testing.T) {
	t.Parallel()
	var written bytes.Buffer
	logger := logging.New(&written, slog.LevelInfo, "usage-api")
	before := time.Now().Truncate(time.Millisecond)
	logger.With(slog.String("requestId", "r-1")).Warn("store\nslow",
		slog.Int("status", 503), logging.Phone("customer", "+966501234567"),
		slog.Group("call", slog.String("msg", "kept"), slog.String("time", "kept"), slog.String("level", "kept")))

	got := lines(t, &written)
	if len(got) != 1 {
		t.Fatalf("%d lines, want 1:\n%s", len(got), written.String())
	}
	text, _ := got[0]["timestamp"].(string)
	stamp, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || stamp.Before(before) || stamp.After(time.Now()) {
		t.Errorf("timestamp is %q: %v", text, err)
	}
	delete(got[0], "timestamp")
	want := map[string]any{
		"level": "WARN", "message": "store\nslow", "function": "usage-api", "requestId": "r-1",
		"status": 503.0, "customer": "+966*******67",
		"call": map[string]any{"msg": "kept", "time": "kept", "level": "kept"},
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestLevel(t *testing.T) {
	t.Parallel()
	tests := map[slog.Level][]string{
		slog.LevelDebug: {"DEBUG", "INFO", "WARN", "ERROR"},
		slog.LevelInfo:  {"INFO", "WARN", "ERROR"},
		slog.LevelWarn:  {"WARN", "ERROR"},
		slog.LevelError: {"ERROR"},
	}
	for level, want := range tests {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			var written bytes.Buffer
			logger := logging.New(&written, level, "usage-api")
			logger.Debug("d")
			logger.Info("i")
			logger.Warn("w")
			logger.Error("e")
			var got []string
			for _, line := range lines(t, &written) {
				name, _ := line["level"].(string)
				got = append(got, name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("levels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMaskPhone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ number, want string }{
		"Saudi mobile":         {"+966501234567", "+966*******67"},
		"another Saudi mobile": {"+966509999968", "+966*******68"},
		"longest":              {"+966501234567890", "+966**********90"},
		"shortest with middle": {"+966123456", "+966****56"},
		"too short a middle":   {"+96612345", "*********"},
		"only a code":          {"+966", "****"},
		"one character":        {"+", "*"},
		"empty":                {"", ""},
		"with WhatsApp's word": {"whatsapp:+966501234567", "what****************67"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := logging.MaskPhone(test.number); got != test.want {
				t.Errorf("MaskPhone(%q) = %q, want %q", test.number, got, test.want)
			}
			want := slog.String("customer", test.want)
			if got := logging.Phone("customer", test.number); !got.Equal(want) {
				t.Errorf("Phone = %v, want %v", got, want)
			}
		})
	}
}

// Of any logged number, at most the country code (four characters with its plus sign) and the last two digits show.
func TestMaskPhoneNeverRevealsMore(t *testing.T) {
	t.Parallel()
	numbers := rapid.OneOf(rapid.StringMatching(`\+[1-9][0-9]{0,14}`), rapid.StringMatching(`[0-9 +-]{0,20}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		number := numbers.Draw(t, "number")
		got := logging.MaskPhone(number)
		if len(got) != len(number) {
			t.Fatalf("MaskPhone(%q) = %q: another length", number, got)
		}
		hidden := strings.Repeat("*", len(number))
		if len(number) > 6 {
			hidden = number[:4] + strings.Repeat("*", len(number)-6) + number[len(number)-2:]
		}
		for i := range got {
			if got[i] != '*' && got[i] != hidden[i] {
				t.Fatalf("MaskPhone(%q) = %q reveals its character %d", number, got, i)
			}
		}
	})
}

// TestNumbersInErrors: a restaurant's id that is a number is masked wherever it is logged.
func TestNumbersInErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"reading usage of restaurant 966500000001: throttled": "reading usage of restaurant 9665******01: throttled",
		`bot of restaurant "+966500000001"`:                   `bot of restaurant "+966*******01"`,
		"966500000001":                                        "9665******01",
		"966500000001, 966500000002 and r1":                   "9665******01, 9665******02 and r1",
		"GET /restaurants/966500000001":                       "GET /restaurants/9665******01",
		"1234567":                                             "*******",
		"reading usage of restaurant clxyz123456789abc":       "reading usage of restaurant clxyz123456789abc",
		"at 2026-11-23T12:00:00.123456789Z, 15000000ns":       "at 2026-11-23T12:00:00.123456789Z, 15000000ns",
		"message SM00000000000000000000000000000001":          "message SM00000000000000000000000000000001",
		"status 503, code 63016":                              "status 503, code 63016",
		"":                                                    "",
	} {
		var b bytes.Buffer
		log := logging.New(&b, slog.LevelInfo, "test").With(slog.String("restaurantId", "966500000001"))
		log.Info("failed", slog.Any("error", errors.New(text)), slog.String("reason", text))
		var line map[string]string
		if err := json.Unmarshal(b.Bytes(), &line); err != nil {
			t.Fatalf("decoding %.500s: %v", b.Bytes(), err)
		}
		if line["error"] != want || line["reason"] != want || line["restaurantId"] != "9665******01" {
			t.Errorf("%q is logged as %v", text, line)
		}
	}
}
