package sqsqueue

import (
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/outage"
)

// translate turns an error of the SDK into an error of the domain.
func translate(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case awsconfig.Transient(err):
		return fmt.Errorf("%s: %w: %w", doing, outage.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
