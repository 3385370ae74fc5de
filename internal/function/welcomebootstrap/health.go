package welcomebootstrap

import (
	"io"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/function/backend"
	"github.com/sufrah/usage-bootstrap/internal/health"
)

// Health is a function.Health.
func Health(environ config.Environment, now func() time.Time, _ io.Writer) (health.Subject, error) {
	settings, err := config.LoadWelcomeBootstrap(environ)
	if err != nil {
		return health.Subject{}, err
	}
	checks, done, err := backend.Checks(settings.Cache, settings.Twilio, settings.Sufrah, settings.AWS, now)
	if err != nil {
		return health.Subject{}, err
	}
	return health.Subject{Checks: checks, Close: done}, nil
}
