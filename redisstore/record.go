package redisstore

import (
	"encoding/json"
	"slices"
	"time"

	"tokengate/session"
)

// record is a session as Redis keeps it.
type record struct {
	session.Session
	notBefore int64 // the app's not-before when the session was created, in µs; 0 if there was none
	found     bool  // the data hash has the record
}

// The sizes of RECORD in lua/include/prelude.lua and of the not-before that may follow
// it, in bytes. A record has, all big-endian: generation (4 bytes), created (6),
// updated (7), rotated (6), expires (4), absolute (4), and whether there are claims
// (1), which only scripts need.
const (
	recordSize    = 32
	notBeforeSize = 7
)

// decode fills in the fields of rec that a record holds.
func (rec *record) decode(text string) error {
	if len(text) != recordSize && len(text) != recordSize+notBeforeSize {
		return errReply
	}
	rec.Generation = uint32(bigEndian(text[:4]))
	rec.Created = millis(bigEndian(text[4:10]))
	rec.Updated = micros(bigEndian(text[10:17]))
	rec.Rotated = millis(bigEndian(text[17:23]))
	rec.Expires = seconds(bigEndian(text[23:27]))
	rec.Absolute = seconds(bigEndian(text[27:31]))
	rec.notBefore = bigEndian(text[recordSize:])
	rec.found = true
	return nil
}

// bigEndian decodes a big-endian number of any length up to 8 bytes.
func bigEndian(s string) (n int64) {
	for i := range len(s) {
		n = n<<8 | int64(s[i])
	}
	return n
}

func seconds(n int64) time.Time { return time.Unix(n, 0).UTC() }
func millis(n int64) time.Time  { return time.UnixMilli(n).UTC() }
func micros(n int64) time.Time  { return time.UnixMicro(n).UTC() }

// fieldLength is FIELD of lua/include/prelude.lua: the number of characters of a
// session's ID that begin the names of its fields in the data hash. The rest of a
// field's name is "" for the record, "i" for the info or "c" for the claims.
const fieldLength = 10

// appendSessions appends to list the sessions of one type. ids are the members of the
// sorted set, fields the data hash as HGETALL returns it. Sessions without a record
// are left out.
func appendSessions(list []record, ids, fields []any, t session.Type) ([]record, error) {
	first := len(list)
	index := make(map[string]int, len(ids))
	for i := range ids {
		id, ok := element[string](ids, i)
		if !ok || len(id) < fieldLength {
			return nil, session.Fail(session.Internal, errReply)
		}
		index[id[:fieldLength]] = len(list)
		list = append(list, record{Session: session.Session{ID: session.ID(id), Type: t}})
	}
	for i := 0; i+1 < len(fields); i += 2 {
		name, _ := element[string](fields, i)
		value, ok := element[string](fields, i+1)
		if !ok || len(name) < fieldLength {
			return nil, session.Fail(session.Internal, errReply)
		}
		n, ok := index[name[:fieldLength]]
		if !ok {
			continue
		}
		if err := list[n].setField(name[fieldLength:], value); err != nil {
			return nil, session.Fail(session.Internal, err)
		}
	}
	missing := func(rec record) bool { return !rec.found }
	return append(list[:first], slices.DeleteFunc(list[first:], missing)...), nil
}

// setField sets what one field of the data hash holds; suffix is the rest of the
// field's name. Fields come in any order, because a hash that has outgrown Redis's
// listpack encoding is unordered.
func (rec *record) setField(suffix, value string) error {
	switch suffix {
	case "i":
		rec.Info = value
	case "c":
		rec.Claims = json.RawMessage(value)
	default:
		return rec.decode(value)
	}
	return nil
}
