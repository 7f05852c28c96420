package redisstore

import (
	"encoding/json"
	"errors"
	"time"

	"tokengate/session"
)

// recordSize is that of lua's RECORD: generation (4 bytes), then created,
// updated, rotated, expires, absolute and era (8 each), all big-endian, and
// whether there are claims (1), which only scripts ask.
const recordSize = 53

var errReply = errors.New("a script's reply is not of the form that its header says")

// held is a session with the epoch under which it began.
type held struct {
	session.Session
	era int64
}

// decode fills in what a record says of h.
func (h *held) decode(record string) error {
	if len(record) != recordSize {
		return errReply
	}
	h.Generation = uint32(bigEndian(record[:4]))
	h.Created = millis(bigEndian(record[4:12]))
	h.Updated = micros(bigEndian(record[12:20]))
	h.Rotated = millis(bigEndian(record[20:28]))
	h.Expires = millis(bigEndian(record[28:36]))
	h.Absolute = millis(bigEndian(record[36:44]))
	h.era = bigEndian(record[44:52])
	return nil
}

// bigEndian is encoding/binary's for a string.
func bigEndian(s string) (n int64) {
	for i := range len(s) {
		n = n<<8 | int64(s[i])
	}
	return n
}

func millis(n int64) time.Time { return time.UnixMilli(n).UTC() }
func micros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// now reads the second element of every success: the store's clock, in µs.
func (r *reply) now() (time.Time, error) {
	n, ok := at[int64](r.rest, 1)
	if !ok {
		return time.Time{}, session.Fail(session.Internal, errReply)
	}
	return micros(n), nil
}

// epoch reads the third element of a reply that gives data hashes: sessions of
// a lower era are over.
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

// idLength is that of every session ID, so that what follows it in the name of
// a field says what the field holds.
const idLength = 22

// sessions adds to list what a data hash, as HGETALL gives it, holds.
func sessions(list []held, fields []any, t session.Type) ([]held, error) {
	index := make(map[string]int, len(fields)/4)
	for i := 0; i+1 < len(fields); i += 2 {
		field, _ := at[string](fields, i)
		value, ok := at[string](fields, i+1)
		if !ok || len(field) < idLength {
			return nil, session.Fail(session.Internal, errReply)
		}
		id, part := field[:idLength], field[idLength:]
		n, known := index[id]
		if !known {
			n = len(list)
			index[id] = n
			list = append(list, held{Session: session.Session{ID: session.ID(id), Type: t}})
		}
		if err := list[n].set(part, value); err != nil {
			return nil, session.Fail(session.Internal, err)
		}
	}
	return list, nil
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
