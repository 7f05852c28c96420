package api

import (
	"context"
	"log/slog"

	"tokengate/session"
)

// Observer implements [session.Observer]. It counts every event of the engine and
// logs the important ones, each in one line with the user, the client's address
// and the result. The log line of the request has the details of other events.
type Observer struct {
	metrics *Metrics
	log     *slog.Logger
}

// NewObserver returns an Observer for an engine. The engine's Server must have the
// same metrics.
func NewObserver(metrics *Metrics, log *slog.Logger) *Observer { return &Observer{metrics, log} }

// Observe implements [session.Observer].
func (o *Observer) Observe(ctx context.Context, e session.Event) {
	o.metrics.countEvent(e)
	x := exchangeFrom(ctx)
	if x != nil && e.Cause == "" {
		x.app, x.user, x.session, x.code = e.App, e.User, e.Session, e.Code
	}
	message, level := messageFor(e)
	if ctx.Err() != nil {
		level = min(level, slog.LevelInfo) // the client has disconnected, which is not a fault
	}
	if message == "" || !o.log.Enabled(ctx, level) {
		return
	}
	o.log.LogAttrs(ctx, level, message, eventAttrs(e, x)...)
}

// messageFor returns the log message and level of an event. The message is empty if
// the log line of the request is enough.
func messageFor(e session.Event) (message string, level slog.Level) {
	switch {
	case e.Cause == session.CauseEvicted:
		return "eviction", slog.LevelInfo
	case e.Cause == session.CauseReplay:
		return "revocation", slog.LevelWarn
	case e.Cause != "":
		return "revocation", slog.LevelInfo
	}
	switch e.Code {
	case session.OK:
		if e.Step == session.StepLogin {
			return "login", slog.LevelInfo
		}
		return "", 0
	case session.Retried, session.Healed:
		if e.Moved {
			return "repeat from another network", slog.LevelWarn
		}
		return "", 0
	case session.Replayed:
		return "replay", slog.LevelWarn
	case session.Busy, session.Unavailable, session.Internal:
		return "refusal", slog.LevelError
	}
	return "refusal", slog.LevelInfo
}

// eventAttrs returns the attributes of an event's log line. The error's text may
// describe the failure of a store, signer or user source; their contracts forbid
// secrets in it.
func eventAttrs(e session.Event, x *exchange) []slog.Attr {
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs, slog.String("step", string(e.Step)), slog.String("code", string(e.Code)))
	attrs = appendNonEmpty(attrs, "app", e.App)
	attrs = appendNonEmpty(attrs, "user", e.User)
	attrs = appendNonEmpty(attrs, "account", e.Account)
	attrs = appendNonEmpty(attrs, "network", e.Network)
	attrs = appendNonEmpty(attrs, "limit", string(session.LimitOf(e.Err)))
	attrs = appendNonEmpty(attrs, "session", string(e.Session))
	attrs = appendNonEmpty(attrs, "type", string(e.Type))
	attrs = appendNonEmpty(attrs, "cause", string(e.Cause))
	attrs = appendNonEmpty(attrs, "by", e.By)
	if e.Number > 0 {
		attrs = append(attrs, slog.Int("sessions", e.Number))
	}
	if x != nil {
		attrs = append(attrs, slog.String("client", x.clientIP()), slog.String("request", x.id))
		attrs = appendNonEmpty(attrs, "trace", x.trace)
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	return attrs
}
