package api

import (
	"context"
	"log/slog"

	"tokengate/session"
)

// Observer tells what the engine does: it counts every event, writes the ones
// that a reader of the log looks for, each in one line that says who, from
// where and what, and leaves the rest of its knowledge to the request's line.
type Observer struct {
	metrics *Metrics
	log     *slog.Logger
}

// NewObserver makes the session.Observer for the engine whose Server gets the
// same metrics.
func NewObserver(metrics *Metrics, log *slog.Logger) *Observer { return &Observer{metrics, log} }

// Observe implements session.Observer.
func (o *Observer) Observe(ctx context.Context, e session.Event) {
	o.metrics.count(e)
	x := exchangeIn(ctx)
	if x != nil && e.Cause == "" {
		x.app, x.user, x.session, x.code = e.App, e.User, e.Session, e.Code
	}
	message, level := lineFor(e)
	if ctx.Err() != nil {
		level = min(level, slog.LevelInfo) // the client is gone
	}
	if message == "" || !o.log.Enabled(ctx, level) {
		return
	}
	o.log.LogAttrs(ctx, level, message, eventAttrs(e, x)...)
}

// lineFor says how an event is told in the log, and how loudly; "" for one
// that the request's own line tells well enough.
func lineFor(e session.Event) (message string, level slog.Level) {
	switch {
	case e.Cause == session.CauseEvicted:
		return "eviction", slog.LevelInfo
	case e.Cause == session.CauseReplay:
		return "ending", slog.LevelWarn
	case e.Cause != "":
		return "ending", slog.LevelInfo
	}
	switch e.Code {
	case session.OK:
		if e.Step == session.StepLogin {
			return "login", slog.LevelInfo
		}
		return "", 0
	case session.Retried, session.Healed:
		return "", 0
	case session.Replayed:
		return "replay", slog.LevelWarn
	case session.Busy, session.Unavailable, session.Internal:
		return "refusal", slog.LevelError
	}
	return "refusal", slog.LevelInfo
}

// eventAttrs is an event as the log has it. The error's text may hold what a
// port knows of its failure, and by the ports' contract no secret.
func eventAttrs(e session.Event, x *exchange) []slog.Attr {
	attrs := make([]slog.Attr, 0, 11)
	attrs = append(attrs, slog.String("step", string(e.Step)), slog.String("code", string(e.Code)))
	attrs = appendKnown(attrs, "app", e.App)
	attrs = appendKnown(attrs, "user", e.User)
	attrs = appendKnown(attrs, "session", string(e.Session))
	attrs = appendKnown(attrs, "type", string(e.Type))
	attrs = appendKnown(attrs, "cause", string(e.Cause))
	attrs = appendKnown(attrs, "by", e.By)
	if x != nil {
		attrs = append(attrs, slog.String("client", x.clientText()), slog.String("request", x.id))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	return attrs
}
