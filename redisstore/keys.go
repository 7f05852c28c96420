package redisstore

import (
	"hash/fnv"
	"strings"

	"tokengate/session"
)

// The Redis schema. Every key begins with the prefix ("tg") and a tag that puts
// all keys of one bucket of one app's users in one slot; b is the bucket.
//
//	{app:b}:LONG:user       ZSET    session ID → expiry (ms); lives until the last of them; so SHORT
//	{app:b}:data:LONG:user  HASH    f → record, f+"i" → info, f+"c" → claims; lives as long; so SHORT
//	{app:b}:gone:user       ZSET    "ID|cause|by" → when (ms), at most 32; lives 7 days from the last ending
//	{app:b}:endings         STREAM  field "e": an ending; trimmed to the horizon, lives that long from the last
//	{app:b}:epoch           STRING  µs; sessions that began under a lower one are over; lives for the longest absolute lifetime
//	{app:b}:user:user       HASH    a user of the directory; lives until removed, as does its place in the next
//	{app:b}:users           SET     the IDs in the bucket's directory
//	{app:b}:permit:n        STRING  allows one writing of a user under another name; used up by it, lives for a minute
//	{app:b}:name:name       STRING  "user|n": who has a name, or wants it (b is the name's own bucket); until another wants it
//	endings                 channel the endings, as in the streams
//
// f is the ID's first 10 characters. An ending is "at (ms)|cause|by|ID,ID…|app|user".
type schema struct{ prefix string }

// buckets is a constant for ever: it is part of every key.
const buckets = 64

func (s schema) channel() string { return s.prefix + ":endings" }

// bucket gives the part of a bucket's keys that comes before their names.
func (s schema) bucket(app string, n uint32) string {
	const hex = "0123456789abcdef"
	return s.prefix + ":{" + app + ":" + string([]byte{hex[n>>4], hex[n&15]}) + "}:"
}

// owner gives the parts of a user's keys around their names.
func (s schema) owner(o session.Owner) owner {
	return owner{head: s.bucket(o.App, bucketOf(o.User)), user: escape(o.User)}
}

// owner makes the keys of one user; a key is head, name and user. Its methods
// add a key to a call part by part, since a key of its own text would cost an
// allocation, seven of them at each step.
type owner struct{ head, user string }

func (o owner) key(c *call, name string) { c.text(o.head, name, ":", o.user) }

func (o owner) epoch(c *call)   { c.text(o.head, "epoch") }
func (o owner) endings(c *call) { c.text(o.head, "endings") }
func (o owner) users(c *call)   { c.text(o.head, "users") }

func (o owner) permit(c *call, number string) { c.text(o.head, "permit:", number) }

func (o owner) account(c *call) { o.key(c, "user") }
func (o owner) gone(c *call)    { o.key(c, "gone") }
func (o owner) name(c *call)    { o.key(c, "name") }

func (o owner) sessions(c *call, t session.Type) { o.key(c, string(t)) }
func (o owner) data(c *call, t session.Type)     { c.text(o.head, "data:", string(t), ":", o.user) }

// ofTypes adds both keys of each of types, in the order in which scripts loop
// over them.
func (o owner) ofTypes(c *call, types []session.Type) {
	for _, t := range types {
		o.sessions(c, t)
		o.data(c, t)
	}
}

// bucketOf is FNV-1a modulo the number of buckets. Other programs that look
// for a user's keys depend on it, so it is as fixed as the keys themselves.
func bucketOf(user string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user)) // never fails
	return h.Sum32() % buckets
}

var escaper = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", ":", "%3A")

// escape keeps a user's ID from looking like another part of a key.
func escape(user string) string {
	if !strings.ContainsAny(user, "%{}:") {
		return user
	}
	return escaper.Replace(user)
}
