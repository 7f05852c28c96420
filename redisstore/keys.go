package redisstore

import (
	"hash/fnv"
	"strconv"
	"strings"

	"tokengate/session"
)

// The Redis schema. Every key begins with the prefix ("tg") and a hash tag that puts
// all keys of one bucket of an app's users into one slot; b is the bucket.
//
//	{app:b}:LONG:U         ZSET    session ID → expiry (ms); expires with the last session; the same for SHORT
//	{app:b}:data:LONG:U    HASH    f → record, f+"i" → info, f+"c" → claims; expires at the same time; the same for SHORT
//	{app:b}:tombstones:U   ZSET    "ID|cause|by" → time (ms), at most 32; expires 7 days after the last revocation
//	{app:b}:revocations    STREAM  the outbox; field "e" is a revocation; trimmed to the retention, expires that long after the last
//	{app:b}:not_before     STRING  µs; sessions created under a lower one are revoked; expires after the longest absolute lifetime
//	{app:b}:user:U         HASH    an account of the directory: id, name, password, active, claims, credential; kept until it is removed, as is its entry in the next key
//	{app:b}:users          SET     the IDs of the bucket's accounts
//	{app:00}:last_id       STRING  the highest number that was given to a user, or passed over; kept forever, so that no number is given again
//	{app:b}:username:NAME  STRING  "U|n": the reservation of a username (b is the name's own bucket); replaced when another user takes the name
//	{app:b}:reservation:n  STRING  lets one write use reservation n; deleted by that write or on cancellation, expires after a minute
//	{app:b}:failures:account:H  STRING  "n|until (µs)|next (µs)": a row of n failed logins, when it is forgotten and when the next attempt is allowed; expires when it is forgotten
//	{app:b}:failures:device:ID  STRING  the same of a known device
//	{app:b}:rate:NETWORK   STRING  when all attempts of a network will have come back (µs), and expires then
//	{app:b}:refusals:S     ZSET    "account|H", "device|ID" or "network|NETWORK" → how often it was refused in slice S of time, at most 200; expires 80 minutes after the last refusal
//	{app:b}:probe          no key, except for a moment: whether it can be written shows whether steps can
//	revocations            channel the revocations, as in the streams
//
// In the keys of a Limiter, b is the bucket of H, ID or NETWORK: the keys of an account and
// of its user may be in two slots. Slice S of time is that of 10 minutes whose number since
// 1970 is S, by the clock of the gateway.
//
// U is the user's ID, f the first 10 characters of the session's ID, n a random number.
// A revocation is "time (ms)|cause|by|ID,ID…|app|U". If it is of too many sessions, "*" and
// the ID of the session that was kept, if any, replace the IDs: it is then of all sessions of
// the user but that one. A later version may add fields to a data hash whose names are f and
// one lower-case letter: lua/include/revoke_all.lua keeps no others. See
// username_reservation.go for reservations.
type schema struct{ prefix string }

// buckets is the number of buckets of each app. It can never change, because every key
// depends on it.
const buckets = 64

func (s schema) channel() string { return s.prefix + ":revocations" }

// owner returns the keys of one user and of the user's bucket.
func (s schema) owner(o session.Owner) ownerKeys {
	keys := s.bucket(o.App, bucketOf(o.User))
	keys.user = escape(o.User)
	return keys
}

// bucket returns the keys of one bucket, without a user.
func (s schema) bucket(app string, n uint32) ownerKeys {
	const hex = "0123456789abcdef"
	return ownerKeys{prefix: s.prefix + ":{" + app + ":" + string([]byte{hex[n>>4], hex[n&15]}) + "}:"}
}

// bucketOf returns a user's bucket: the FNV-1a hash modulo the number of buckets. It
// can never change, because other programs use it to find a user's keys.
func bucketOf(user string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user)) // never fails
	return h.Sum32() % buckets
}

// ownerKeys builds the keys of one user, or of a bucket. A key consists of prefix,
// name and user. The methods add a key to a call part by part: a string for each key
// would cost an allocation, and a step has up to eight keys.
type ownerKeys struct{ prefix, user string }

func (k ownerKeys) addNotBefore(c *call)   { c.add(k.prefix, "not_before") }
func (k ownerKeys) addRevocations(c *call) { c.add(k.prefix, "revocations") }
func (k ownerKeys) addUsers(c *call)       { c.add(k.prefix, "users") }
func (k ownerKeys) addLastID(c *call)      { c.add(k.prefix, "last_id") }
func (k ownerKeys) addProbe(c *call)       { c.add(k.prefix, "probe") }

func (k ownerKeys) addTombstones(c *call) { c.add(k.prefix, "tombstones:", k.user) }
func (k ownerKeys) addAccount(c *call)    { c.add(k.prefix, "user:", k.user) }

func (k ownerKeys) addSessions(c *call, t session.Type) { c.add(k.prefix, string(t), ":", k.user) }
func (k ownerKeys) addData(c *call, t session.Type)     { c.add(k.prefix, "data:", string(t), ":", k.user) }

// addTypes adds both keys of each session type, in the order in which scripts loop
// over them.
func (k ownerKeys) addTypes(c *call, types []session.Type) {
	for _, t := range types {
		k.addSessions(c, t)
		k.addData(c, t)
	}
}

// addUsername adds the key of a username, which takes the place of the user.
func (k ownerKeys) addUsername(c *call) { c.add(k.prefix, "username:", k.user) }

// addReservation adds the reservation key with a number.
func (k ownerKeys) addReservation(c *call, number string) { c.add(k.prefix, "reservation:", number) }

// addFailures adds the key of a row of failures. An account or a device takes the place of
// the user.
func (k ownerKeys) addFailures(c *call, l session.Limit) {
	c.add(k.prefix, "failures:", string(l), ":", k.user)
}

// addRate adds the key of a network, which takes the place of the user.
func (k ownerKeys) addRate(c *call) { c.add(k.prefix, "rate:", k.user) }

// addRefusals adds the key of a bucket's refusals in a slice of time.
func (k ownerKeys) addRefusals(c *call, slice int64) {
	c.add(k.prefix, "refusals:", strconv.FormatInt(slice, 10))
}

// keyText returns the key that add adds, for a command that is not a script.
func keyText(add func(*call)) string {
	c := newCall()
	add(c)
	return string(c.buf)
}

// escape replaces the characters that have a meaning in keys.
func escape(user string) string {
	if !strings.ContainsAny(user, "%{}:") {
		return user
	}
	return userEscaper.Replace(user)
}

var userEscaper = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", ":", "%3A")
