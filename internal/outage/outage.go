// Package outage names the failure that all stores share, and that passes by itself.
package outage

import "errors"

// ErrUnavailable says that a service is throttled, down or too slow: the same request may succeed later. Adapters wrap it
// around their own error after their last retry; callers look for it with errors.Is.
var ErrUnavailable = errors.New("temporarily unavailable")
