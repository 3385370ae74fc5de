package conversation

import (
	"context"
	"log/slog"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/logging"
)

// ReceiveStatus takes what a callback says of a message.
func (s *Service) ReceiveStatus(ctx context.Context, t Tenant, r delivery.Report) error {
	if r.Status != delivery.Failed {
		return nil
	}
	code := delivery.CodeOf(r.ErrorCode)
	level := slog.LevelWarn
	if code.Alarm {
		level = slog.LevelError
	}
	s.Log.LogAttrs(ctx, level, "message not delivered", slog.String("requestId", s.RequestID(ctx)),
		logging.Restaurant("restaurantId", t.Restaurant.ID), logging.Customer("customer", r.Customer), slog.String("sid", r.MessageID),
		slog.String("kind", string(r.Origin.Kind)), slog.Int("twilioCode", r.ErrorCode), slog.String("fault", string(code.Fault)),
		slog.String("means", code.Means))
	return nil
}
