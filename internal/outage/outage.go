// Package outage names the one failure that every store shares and that passes by itself.
package outage

import "errors"

// ErrUnavailable says that what was asked is throttled, down or out of time: the same question may be answered later.
// Adapters wrap it round their own error after their retries; callers find it with errors.Is.
var ErrUnavailable = errors.New("temporarily unavailable")
