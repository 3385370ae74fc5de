package cache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// formatVersion changes with the form of the envelope or of any type inside one. Values of other versions are misses.
const formatVersion = "1"

// seal returns the value as it is kept: the version, the time in milliseconds, and the value in JSON.
func seal[T any](value T, at time.Time) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding a value for the cache: %w", err)
	}
	return append(fmt.Appendf(nil, "%s %d ", formatVersion, at.UnixMilli()), body...), nil
}

// open returns the sealed value, or false if the bytes are of another form or version.
func open[T any](sealed []byte) (value T, at time.Time, ok bool) {
	version, rest, _ := bytes.Cut(sealed, []byte{' '})
	stamp, body, _ := bytes.Cut(rest, []byte{' '})
	ms, err := strconv.ParseInt(string(stamp), 10, 64)
	if err != nil || string(version) != formatVersion {
		return value, at, false
	}
	if err := json.Unmarshal(body, &value); err != nil {
		var zero T // some of it may have been filled in
		return zero, at, false
	}
	return value, time.UnixMilli(ms), true
}
