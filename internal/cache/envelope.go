package cache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// formatVersion must change with the form of the envelope, or of any type in it. Values of other versions count as misses.
const formatVersion = "1"

// seal returns the stored form of a value: the version, the time in milliseconds, and the value in JSON.
func seal[T any](value T, at time.Time) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding a value for the cache: %w", err)
	}
	return append(fmt.Appendf(nil, "%s %d ", formatVersion, at.UnixMilli()), body...), nil
}

// open returns the sealed value; ok is false if the bytes have another form or version.
func open[T any](sealed []byte) (value T, at time.Time, ok bool) {
	version, rest, _ := bytes.Cut(sealed, []byte{' '})
	stamp, body, _ := bytes.Cut(rest, []byte{' '})
	ms, err := strconv.ParseInt(string(stamp), 10, 64)
	if err != nil || string(version) != formatVersion {
		return value, at, false
	}
	if err := json.Unmarshal(body, &value); err != nil {
		var zero T // value may be half filled in
		return zero, at, false
	}
	return value, time.UnixMilli(ms), true
}
