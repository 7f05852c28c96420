package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
)

// NewLogger returns the logger of the whole program, which writes one line per
// event to w. Times are in UTC, so that lines from machines in different time
// zones can be compared. format is "text" or "json".
func NewLogger(w io.Writer, level slog.Level, format string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(utcHandler{slog.NewTextHandler(w, options)}), nil
	case "json":
		return slog.New(utcHandler{slog.NewJSONHandler(w, options)}), nil
	}
	return nil, errors.New("FORMAT: give text or json")
}

// utcHandler is a [slog.Handler] that writes times in UTC.
type utcHandler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h utcHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h utcHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return utcHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h utcHandler) WithGroup(name string) slog.Handler { return utcHandler{h.Handler.WithGroup(name)} }

// appendNonEmpty appends an attribute unless its value is empty.
func appendNonEmpty(attrs []slog.Attr, name, value string) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(name, value))
}
