package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Parsed is a setting whose text is parsed. Decode keeps what is wrong with the text
// instead of returning it, because envconfig would stop there and print the text.
// [Read] reports it.
type Parsed[T parsable] struct {
	Value T
	err   error
}

type parsable interface {
	bool | int | time.Duration | slog.Level | Networks | Recheck
}

// parsed returns a Parsed with a default.
func parsed[T parsable](value T) Parsed[T] { return Parsed[T]{Value: value} }

// Decode implements envconfig.Decoder. It returns nil.
func (p *Parsed[T]) Decode(text string) error {
	if value, err := parse[T](text); err != nil {
		p.err = err
	} else {
		*p = parsed(value)
	}
	return nil
}

func (p *Parsed[T]) fault() error { return p.err }

// String returns the value in the form that Decode reads.
func (p Parsed[T]) String() string {
	switch v := any(p.Value).(type) {
	case time.Duration:
		return formatDuration(v)
	case slog.Level:
		return strings.ToLower(v.String())
	}
	return fmt.Sprint(p.Value)
}

// parse parses text. Its errors say what to give instead. They don't repeat the text,
// which may be a secret that was given in the wrong variable.
func parse[T parsable](text string) (value T, err error) {
	switch v := any(&value).(type) {
	case *bool:
		if *v, err = strconv.ParseBool(text); err != nil {
			err = errors.New("give true or false")
		}
	case *int:
		if *v, err = strconv.Atoi(text); err != nil {
			err = errors.New("give a whole number")
		}
	case *slog.Level:
		if err = v.UnmarshalText([]byte(text)); err != nil {
			err = errors.New("give debug, info, warn or error")
		}
	case *time.Duration:
		*v, err = parseDuration(text)
	case *Networks:
		*v, err = parseNetworks(text)
	case *Recheck:
		*v, err = parseRecheck(text)
	}
	return value, err
}

// List is a setting with several values. Its text form has a comma or, as files have
// them, a line end between them.
type List []string

// Decode implements envconfig.Decoder. It drops empty values and the white space around
// values, and returns nil.
func (l *List) Decode(text string) error {
	*l = nil
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if entry = strings.TrimSpace(entry); entry != "" {
			*l = append(*l, entry)
		}
	}
	return nil
}

// String returns the text form.
func (l List) String() string { return strings.Join(l, ",") }

// Secret is a setting that may be given in a file. The packages fmt, log/slog and
// encoding/json print "[secret]" instead of its text.
type Secret string

// Decode implements envconfig.Decoder. It returns nil.
func (s *Secret) Decode(text string) error {
	*s = Secret(text)
	return nil
}

// Format implements fmt.Formatter.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write(hide(len(s))) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return hide(len(s)), nil }

// Secrets is a [List] of secrets, which is printed like a [Secret].
type Secrets []string

// Decode implements envconfig.Decoder. It returns nil.
func (s *Secrets) Decode(text string) error { return (*List)(s).Decode(text) }

// Format implements fmt.Formatter.
func (s Secrets) Format(f fmt.State, _ rune) { _, _ = f.Write(hide(len(s))) }

// MarshalText implements encoding.TextMarshaler.
func (s Secrets) MarshalText() ([]byte, error) { return hide(len(s)), nil }

// hide returns what is printed for a secret of a length. A secret that is not set has no
// text.
func hide(length int) []byte {
	if length == 0 {
		return nil
	}
	return []byte("[secret]")
}
