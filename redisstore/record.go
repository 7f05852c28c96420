package redisstore

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"tokengate/session"
)

// The sizes of lua's RECORD, alone and with the era that may follow: generation
// (4 bytes), created (6), updated (7), rotated (6), expires and absolute (4
// each), all big-endian, and whether there are claims (1), which only scripts
// ask.
const (
	recordSize = 32
	eraSize    = 7
)

var errReply = errors.New("a script's reply is not of the form that its header says")

// held is a session with the epoch under which it began.
type held struct {
	session.Session
	era  int64
	kept bool // its record was there
}

// decode fills in what a record says of h.
func (h *held) decode(record string) error {
	if len(record) != recordSize && len(record) != recordSize+eraSize {
		return errReply
	}
	h.Generation = uint32(bigEndian(record[:4]))
	h.Created = millis(bigEndian(record[4:10]))
	h.Updated = micros(bigEndian(record[10:17]))
	h.Rotated = millis(bigEndian(record[17:23]))
	h.Expires = seconds(bigEndian(record[23:27]))
	h.Absolute = seconds(bigEndian(record[27:31]))
	h.era = bigEndian(record[recordSize:])
	h.kept = true
	return nil
}

// bigEndian is encoding/binary's for a string.
func bigEndian(s string) (n int64) {
	for i := range len(s) {
		n = n<<8 | int64(s[i])
	}
	return n
}

func seconds(n int64) time.Time { return time.Unix(n, 0).UTC() }
func millis(n int64) time.Time  { return time.UnixMilli(n).UTC() }
func micros(n int64) time.Time  { return time.UnixMicro(n).UTC() }

// now reads the second element of every success: the store's clock, in µs.
func (r *reply) now() (time.Time, error) {
	n, ok := at[int64](r.rest, 1)
	if !ok {
		return time.Time{}, session.Fail(session.Internal, errReply)
	}
	return micros(n), nil
}

// epoch reads the third element of a reply that gives sessions: those of a lower
// era are over.
func (r *reply) epoch() int64 {
	n, _ := at[int64](r.rest, 2)
	return n
}

// session reads now, record and claims into a session with its ID and type.
func (r *reply) session(s *session.Session) (time.Time, error) {
	now, err := r.now()
	record, ok := at[string](r.rest, 2)
	h := held{Session: *s}
	if err != nil || !ok || h.decode(record) != nil {
		return now, session.Fail(session.Internal, errReply)
	}
	*s = h.Session
	if claims, ok := at[string](r.rest, 3); ok {
		s.Claims = json.RawMessage(claims)
	}
	return now, nil
}

// traces makes traces of the IDs that are one element of a reply.
func (r *reply) traces(i int, cause session.Cause, by string, when time.Time) []session.Trace {
	ids, _ := at[[]any](r.rest, i)
	if len(ids) == 0 {
		return nil
	}
	ended := make([]session.Trace, 0, len(ids))
	for i := range ids {
		id, _ := at[string](ids, i)
		ended = append(ended, session.Trace{ID: session.ID(id), Cause: cause, By: by, At: when.Truncate(time.Millisecond)})
	}
	return ended
}

// sessions reads two elements of a reply, from i on, into list.
func (r *reply) sessions(list []held, i int, t session.Type) ([]held, error) {
	ids, _ := at[[]any](r.rest, i)
	fields, _ := at[[]any](r.rest, i+1)
	return sessions(list, ids, fields, t)
}

// fieldLength is lua's FIELD: so much of a session's ID names its fields, and
// what follows says what a field holds.
const fieldLength = 10

// sessions adds to list the sessions of one type: the members of its sorted set,
// and what the data hash, as HGETALL gives it, holds of them.
func sessions(list []held, ids, fields []any, t session.Type) ([]held, error) {
	first := len(list)
	index := make(map[string]int, len(ids))
	for i := range ids {
		id, ok := at[string](ids, i)
		if !ok || len(id) < fieldLength {
			return nil, session.Fail(session.Internal, errReply)
		}
		index[id[:fieldLength]] = len(list)
		list = append(list, held{Session: session.Session{ID: session.ID(id), Type: t}})
	}
	for i := 0; i+1 < len(fields); i += 2 {
		field, _ := at[string](fields, i)
		value, ok := at[string](fields, i+1)
		if !ok || len(field) < fieldLength {
			return nil, session.Fail(session.Internal, errReply)
		}
		n, known := index[field[:fieldLength]]
		if !known {
			continue
		}
		if err := list[n].set(field[fieldLength:], value); err != nil {
			return nil, session.Fail(session.Internal, err)
		}
	}
	lost := func(h held) bool { return !h.kept }
	return append(list[:first], slices.DeleteFunc(list[first:], lost)...), nil
}

// set fills in what one field of the hash says. The record may come after the
// info: a hash that has outgrown its listpack has no order.
func (h *held) set(part, value string) error {
	switch part {
	case "i":
		h.Info = value
	case "c":
		h.Claims = json.RawMessage(value)
	default:
		return h.decode(value)
	}
	return nil
}
