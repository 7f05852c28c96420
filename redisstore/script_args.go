package redisstore

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"tokengate/session"
)

// call collects the keys of one run of a script, and then its arguments. They lie end
// to end in one buffer, so that a call costs few allocations.
type call struct {
	buf     []byte
	ends    []int // where each key and argument ends in buf
	numKeys int
	latest  int // where the latest start is in buf; 0 if the script has none
}

// Initial capacities of a call. They suffice for a refresh with a long user ID; other
// calls may grow.
const (
	usualArgs  = 20
	usualBytes = 640
)

func newCall() *call {
	return &call{buf: make([]byte, 0, usualBytes), ends: make([]int, 0, usualArgs)}
}

// newStepCall returns a call with the keys and the first arguments of a step that
// changes sessions of the given types.
func (s *Store) newStepCall(o session.Owner, types ...session.Type) *call {
	c, keys := newCall(), s.schema.owner(o)
	keys.addNotBefore(c)
	keys.addTombstones(c)
	keys.addRevocations(c)
	keys.addAccount(c)
	keys.addTypes(c, types)
	s.addFirstArgs(c, o)
	return c
}

// newTokenCall returns a call with the keys and the first arguments of a step that
// changes the session of a refresh token, and with the user's key if they are checked.
func (s *Store) newTokenCall(o session.Owner, t session.Type, checkUser bool) *call {
	c, keys := newCall(), s.schema.owner(o)
	keys.addNotBefore(c)
	keys.addTombstones(c)
	keys.addRevocations(c)
	keys.addSessions(c, t)
	keys.addData(c, t)
	if checkUser {
		keys.addAccount(c)
	}
	s.addFirstArgs(c, o)
	return c
}

// addFirstArgs ends the keys and adds the two arguments that every script about
// sessions begins with: the latest start and the revocation parameters.
func (s *Store) addFirstArgs(c *call, o session.Owner) {
	c.endKeys()
	if s.options.Now == nil {
		c.latest = len(c.buf)
		c.add(anyTime)
	} else {
		c.addInt(-s.options.Now().UnixMicro())
	}
	c.add(s.revocationParams.Load().text, o.App, "|", o.User)
}

// anyTime is the latest start, in Unix µs, of a step that may start at any time. Each
// latest start has as many digits.
const anyTime = "8999999999999999"

// setLatest sets the latest start of a script that has one.
func (c *call) setLatest(t time.Time) {
	n := max(t.UnixMicro(), 0)
	for i := c.latest + len(anyTime) - 1; i >= c.latest; i-- {
		c.buf[i] = byte('0' + n%10)
		n /= 10
	}
}

// requestedFirst returns all session types, beginning with the requested ones.
func requestedFirst(requested []session.Type) []session.Type {
	all := slices.Clone(requested)
	for _, t := range session.Types {
		if !slices.Contains(requested, t) {
			all = append(all, t)
		}
	}
	return all
}

// endKeys marks the end of the keys: everything added from now on is an argument.
func (c *call) endKeys() { c.numKeys = len(c.ends) }

func (c *call) firstKey() string { return string(c.buf[:c.ends[0]]) }

// probeKey returns the key that the probe uses in the slot of a key.
func probeKey(key string) string {
	tag, _, _ := strings.Cut(key, "}")
	return tag + "}:probe"
}

// add adds one key or argument, the concatenation of parts.
func (c *call) add(parts ...string) {
	for _, p := range parts {
		c.buf = append(c.buf, p...)
	}
	c.ends = append(c.ends, len(c.buf))
}

// addInt adds one argument in decimal, as Redis and Lua read it.
func (c *call) addInt(n int64) {
	c.buf = strconv.AppendInt(c.buf, n, 10)
	c.ends = append(c.ends, len(c.buf))
}

// addMillis adds a duration in milliseconds, the unit of all scripts, rounded down.
func (c *call) addMillis(d time.Duration) { c.addInt(d.Milliseconds()) }

// addBool adds "1" or "0". Scripts compare it with '1'.
func (c *call) addBool(b bool) {
	if b {
		c.add("1")
	} else {
		c.add("0")
	}
}

// addID adds a session ID. An invalid one is replaced by "-", which is no session's
// ID: the text itself might be the name of another field in the data hash.
func (c *call) addID(id session.ID) {
	if id != "" && !id.Valid() {
		id = "-"
	}
	c.add(string(id))
}

// command returns the arguments of EVALSHA, or of EVAL if eval is set, and the first
// key. The arguments are pointers, so that they do not cost an allocation each.
func (c *call) command(s *script, eval bool) (args []any, firstKey string) {
	all := string(c.buf)
	texts := make([]string, len(c.ends))
	args = make([]any, 3+len(texts))
	args[0], args[1], args[2] = "evalsha", &s.sha, &c.numKeys
	if eval {
		args[0], args[1] = "eval", &s.Text
	}
	start := 0
	for i, end := range c.ends {
		texts[i] = all[start:end]
		args[3+i] = &texts[i]
		start = end
	}
	return args, texts[0]
}
