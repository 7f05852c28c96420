package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
)

// NewLogger makes the log that the whole program writes to w, one line an
// event, times in UTC so that lines of machines in different zones compare.
// format is "text" or "json".
func NewLogger(w io.Writer, level slog.Level, format string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(inUTC{slog.NewTextHandler(w, options)}), nil
	case "json":
		return slog.New(inUTC{slog.NewJSONHandler(w, options)}), nil
	}
	return nil, errors.New("FORMAT: give text or json")
}

// inUTC is a handler whose lines are dated in UTC.
type inUTC struct{ slog.Handler }

// Handle is slog.Handler's.
func (h inUTC) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (h inUTC) WithAttrs(attrs []slog.Attr) slog.Handler { return inUTC{h.Handler.WithAttrs(attrs)} }

// WithGroup is slog.Handler's.
func (h inUTC) WithGroup(name string) slog.Handler { return inUTC{h.Handler.WithGroup(name)} }
