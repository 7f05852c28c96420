package redisstore

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"tokengate/session"
)

// Tombstones implements [session.Store]. Sessions that RevokeApp revoked have no
// tombstone in Redis: the script finds them by their records, until they would have expired.
func (s *Store) Tombstones(ctx context.Context, o session.Owner) ([]session.Tombstone, error) {
	c, keys := newCall(), s.schema.owner(o)
	keys.addNotBefore(c)
	keys.addTombstones(c)
	keys.addTypes(c, session.Types)
	s.addFirstArgs(c, o)
	r, err := s.run(ctx, s.tombstones, c, noReplicas)
	if err != nil {
		return nil, err
	}
	members, _ := element[[]any](r.elements, 3)
	found := make([]session.Tombstone, 0, len(members)/2)
	for i := 0; i+1 < len(members); i += 2 {
		member, _ := element[string](members, i)
		score, _ := element[string](members, i+1)
		at, _ := strconv.ParseInt(score, 10, 64)
		found = append(found, parseTombstone(member, at))
	}
	found = append(found, r.tombstones(4, session.CauseApp, "", micros(r.notBefore()))...)
	slices.SortStableFunc(found, func(a, b session.Tombstone) int { return b.At.Compare(a.At) })
	return found[:min(len(found), maxTombstones)], nil
}

// maxTombstones is MAX_TOMBSTONES of lua/include/revocation.lua.
const maxTombstones = 32

// parseTombstone parses a member of a user's tombstones key; at is its score, in ms.
func parseTombstone(member string, at int64) session.Tombstone {
	id, rest, _ := strings.Cut(member, "|")
	cause, by, _ := strings.Cut(rest, "|")
	return session.Tombstone{ID: session.ID(id), Cause: session.Cause(cause), By: unescapeRevokedBy(by), At: millis(at)}
}

var (
	byEscaper   = strings.NewReplacer("%", "%25", "|", "%7C")
	byUnescaper = strings.NewReplacer("%25", "%", "%7C", "|")
)

// escapeRevokedBy escapes an operator's name, which may hold any character, so that it
// has no separator of a tombstone or revocation in it.
func escapeRevokedBy(by string) string { return byEscaper.Replace(by) }

func unescapeRevokedBy(by string) string { return byUnescaper.Replace(by) }
