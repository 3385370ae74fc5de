// Package outage names the failure that all stores share and that passes by itself.
package outage

import "errors"

// ErrUnavailable means that a service is throttled, down or out of time: the same request may succeed later. Adapters wrap it
// around their own error after their retries; callers find it with errors.Is.
var ErrUnavailable = errors.New("temporarily unavailable")
