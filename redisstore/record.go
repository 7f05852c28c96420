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
	found     bool  // the data hash has a record that can be read
}

// recordSize is RECORD_SIZE in lua/include/prelude.lua, in bytes. A record has, all
// big-endian: format version (1 byte), generation (4), created (6), updated (7), rotated
// (6), expires (4), absolute (4), whether there are claims (1), which only scripts need,
// secret (8), credential (4), and the app's not-before at the creation (7). What follows is
// about repeats, which only scripts need. A later version may append more.
const recordSize = 52

// decode fills in the fields of rec that a record holds, and ignores what a later
// version has appended. A shorter record can't be read; its session counts as missing.
func (rec *record) decode(text string) {
	if len(text) < recordSize {
		return
	}
	rec.Generation = uint32(bigEndian(text[1:5]))
	rec.Created = millis(bigEndian(text[5:11]))
	rec.Updated = micros(bigEndian(text[11:18]))
	rec.Rotated = millis(bigEndian(text[18:24]))
	rec.Expires = seconds(bigEndian(text[24:28]))
	rec.Absolute = seconds(bigEndian(text[28:32]))
	copy(rec.Secret[:], text[33:41])
	copy(rec.Credential[:], text[41:45])
	rec.notBefore = bigEndian(text[45:recordSize])
	rec.found = true
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

// fieldSuffixes are the values that a session has in a page of a list that is not whole.
var fieldSuffixes = [...]string{"", "i", "c"}

// appendSessions appends to list the sessions of one type. ids are members of the
// sorted set. fields is the data hash as HGETALL returns it; if it is empty, values holds
// what fieldSuffixes says of each session. Sessions without a record are left out.
func appendSessions(list []record, ids, fields, values []any, t session.Type) ([]record, error) {
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
	for i := range values {
		if value, ok := element[string](values, i); ok && i/len(fieldSuffixes) < len(ids) {
			list[first+i/len(fieldSuffixes)].setField(fieldSuffixes[i%len(fieldSuffixes)], value)
		}
	}
	for i := 0; i+1 < len(fields); i += 2 {
		name, _ := element[string](fields, i)
		value, ok := element[string](fields, i+1)
		if !ok {
			return nil, session.Fail(session.Internal, errReply)
		}
		if len(name) < fieldLength {
			continue // of a later version
		}
		n, ok := index[name[:fieldLength]]
		if !ok {
			continue
		}
		list[n].setField(name[fieldLength:], value)
	}
	missing := func(rec record) bool { return !rec.found }
	return append(list[:first], slices.DeleteFunc(list[first:], missing)...), nil
}

// setField sets what one field of the data hash holds; suffix is the rest of the
// field's name. Fields come in any order, because a hash that has outgrown Redis's
// listpack encoding is unordered. Other fields are ignored.
func (rec *record) setField(suffix, value string) {
	switch suffix {
	case "i":
		rec.Info = value
	case "c":
		rec.Claims = json.RawMessage(value)
	case "":
		rec.decode(value)
	}
}
