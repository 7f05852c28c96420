package redisstore

import (
	"encoding/json"
	"time"

	"tokengate/session"
)

// reply is a script's reply.
type reply struct {
	code     session.Code // the first element
	elements []any        // all elements
	replicas confirmation
}

// element returns an element of a reply. ok reports whether it exists and is a T.
func element[T any](elements []any, i int) (v T, ok bool) {
	if i < len(elements) {
		v, ok = elements[i].(T)
	}
	return v, ok
}

// now reads the second element of every success: the store's clock, in µs.
func (r *reply) now() (time.Time, error) {
	n, ok := element[int64](r.elements, 1)
	if !ok {
		return time.Time{}, session.Fail(session.Internal, errReply)
	}
	return micros(n), nil
}

// notBefore reads the third element of a reply that lists sessions: the app's
// not-before, in µs. Sessions that were created under a lower one are revoked.
func (r *reply) notBefore() int64 {
	n, _ := element[int64](r.elements, 2)
	return n
}

// session reads the clock, a record and claims, the elements from the second on. It
// fills in s, whose ID and type the caller has set.
func (r *reply) session(s *session.Session) (now time.Time, err error) {
	now, err = r.now()
	text, ok := element[string](r.elements, 2)
	rec := record{Session: *s}
	if rec.decode(text); err != nil || !ok || !rec.found {
		return now, session.Fail(session.Internal, errReply)
	}
	*s = rec.Session
	if claims, ok := element[string](r.elements, 3); ok {
		s.Claims = json.RawMessage(claims)
	}
	return now, nil
}

// tombstones returns a tombstone for each ID in the i-th element.
func (r *reply) tombstones(i int, cause session.Cause, by string, at time.Time) []session.Tombstone {
	ids, _ := element[[]any](r.elements, i)
	if len(ids) == 0 {
		return nil
	}
	list := make([]session.Tombstone, 0, len(ids))
	for i := range ids {
		id, _ := element[string](ids, i)
		list = append(list, session.Tombstone{ID: session.ID(id), Cause: cause, By: by, At: at.Truncate(time.Millisecond)})
	}
	return list
}
