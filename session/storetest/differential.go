package storetest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
)

const (
	differentialSeeds = 12
	differentialSteps = 400 // per seed
)

// Differential runs random sequences of steps, the same in each run, on a store and on the
// in-memory store with the same clock. It compares every answer, and the sessions and
// tombstones after it. The harness must have a Clock.
func Differential(t *testing.T, open func(t *testing.T) Harness) {
	outcomes := map[string]int{}
	for seed := range uint64(differentialSeeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			f := newFixture(t, open(t))
			if f.Clock == nil {
				t.Fatal("the harness has no Clock")
			}
			c := newComparison(f, seed, outcomes)
			for n := range differentialSteps {
				c.randomStep(n)
				if t.Failed() {
					t.Fatalf("the stores differ after %d steps, the last one for %v", n+1, c.owner)
				}
			}
		})
	}
	for _, outcome := range requiredOutcomes {
		if outcomes[outcome] == 0 && !t.Failed() {
			t.Errorf("no step of any sequence had the outcome %q: %v", outcome, outcomes)
		}
	}
}

// requiredOutcomes lists the outcomes that must occur in the sequences. Without it the
// sequences might consist of failing steps only.
var requiredOutcomes = []string{
	"Create ok", "Create limit_reached", "Create user_not_found", "Create user_inactive", "Create revokes: evicted", "Create revokes: account",
	"Refresh ok", "Refresh retried", "Refresh healed", "Refresh replayed", "Refresh spent", "Refresh unknown",
	"Refresh ended", "Refresh throttled", "Refresh moved", "Refresh user_inactive", "Refresh extends", "Refresh credential_changed", "Refresh expired",
	"CheckToken ok", "CheckToken spent", "CheckToken unknown", "CheckToken credential_changed", "CheckToken expired",
	"List ok", "List token_revoked", "Revoke ok", "Revoke unknown", "Revoke ended", "Revoke token_revoked",
	"RevokeOthers ok", "RevokeOthers unknown", "RevokeOthers token_revoked", "RevokeOthers revokes",
	"Logout ok", "Logout replayed", "Logout spent", "Logout unknown", "Logout ended",
	"Live ok", "Live ended", "Live unknown", "Live credential_changed", "RevokeApp ok",
	"PutAccount ok", "PutAccount user_exists", "RemoveAccount ok", "RemoveAccount user_not_found",
}

// comparison runs one sequence of random steps on a store and on its model, the in-memory
// store. The methods whose names begin with compare run a step on both and compare the
// results.
type comparison struct {
	*fixture
	model    *memstore.Store
	random   *rand.Rand
	owners   []session.Owner
	owner    session.Owner                                 // of the current step
	tokens   map[session.Owner][]session.Session           // the session as of each token issued
	latest   map[session.Owner]map[session.ID]*latestState // as the model has it
	outcomes map[string]int                                // how often each outcome occurred in the model
}

// latestState is a session as of the latest answer, and whether RevokeApp has revoked it.
type latestState struct {
	session.Session
	revokedByApp bool
}

func newComparison(f *fixture, seed uint64, outcomes map[string]int) *comparison {
	c := &comparison{
		fixture:  f,
		model:    memstore.New(memstore.Options{Now: f.Clock}),
		random:   rand.New(rand.NewPCG(seed, 7)),
		owners:   []session.Owner{{App: "shop", User: "1"}, {App: "shop", User: "a:{b}|%"}, {App: "other", User: "1"}},
		tokens:   map[session.Owner][]session.Session{},
		latest:   map[session.Owner]map[session.ID]*latestState{},
		outcomes: outcomes,
	}
	for _, o := range c.owners {
		c.latest[o] = map[session.ID]*latestState{}
		c.comparePutAccount(o, "name of "+o.User, true)
	}
	return c
}

// randomStep moves the clock and runs one step, the n-th, on both stores.
func (c *comparison) randomStep(n int) {
	c.owner = c.owners[min(c.random.IntN(5), 2)] // mostly the last one, which gets more sessions that way
	c.advanceRandomly()
	switch k := c.random.IntN(100); {
	case k < 27:
		c.compareCreate(c.randomPolicy())
	case k < 66:
		c.compareRefresh(c.randomPolicy())
	case k < 74:
		c.compareRevoke()
	case k < 81:
		c.compareRevokeOthers()
	case k < 88:
		c.compareLogout(c.randomPolicy())
	case k < 91:
		c.compareList()
	case k < 93:
		c.compareDirectory(n)
	case k == 93 && c.randomBool():
		c.compareRevokeApp()
	case k < 97:
		c.compareCheckToken(c.randomPolicy())
	default:
		c.compareLive()
	}
	c.compareLists()
	c.compareTombstones()
}

// advanceRandomly moves the clock: not at all, a little, or to a time limit of some session,
// plus or minus one microsecond.
func (c *comparison) advanceRandomly() {
	s, ok := c.pickToken()
	k := c.random.IntN(20)
	var moment time.Time
	switch {
	case k < 7 || !ok:
		return
	case k < 15:
		c.Advance(time.Duration(c.random.Int64N(int64(5 * time.Second))).Truncate(time.Microsecond))
		return
	case k < 19:
		moment = s.Rotated.Add(retryWindows[c.random.IntN(len(retryWindows))])
	default:
		moment = []time.Time{s.Expires, s.Absolute, s.Expires.Add(-extensionThreshold)}[c.random.IntN(3)]
	}
	offset := time.Duration(c.random.IntN(3)-1) * time.Microsecond
	if by := moment.Add(offset).Sub(c.Clock()); by > 0 {
		c.Advance(by)
	}
}

// retryWindows lists the retry windows of the random policies.
var retryWindows = []time.Duration{0, 2 * time.Second, time.Minute}

// extensionThreshold is the ExtendOnceAfter of the random policies.
const extensionThreshold = 10 * time.Minute

func (c *comparison) randomBool() bool { return c.random.IntN(2) == 0 }

// randomPolicy returns a policy under which, now and then, the sessions of others are over.
func (c *comparison) randomPolicy() session.Policy {
	lifetime := 600 + c.random.IntN(3000)
	if c.random.IntN(12) == 0 {
		lifetime = 1 + c.random.IntN(60)
	}
	return session.Policy{
		Lifetime:         time.Duration(lifetime) * time.Second,
		AbsoluteLifetime: time.Duration(3600+c.random.IntN(3600)) * time.Second,
		Rotate:           c.random.IntN(4) > 0,
		ReuseDetection:   c.randomBool(),
		RetryWindow:      retryWindows[c.random.IntN(len(retryWindows))],
		UpdateLastLogin:  c.randomBool(),
		Extend:           c.randomBool(),
		ExtendEveryTime:  c.random.IntN(3) == 0,
		ExtendOnceAfter:  extensionThreshold,
		Limit:            c.random.IntN(4) > 0,
		Max:              c.random.IntN(6),
		DestroyOldest:    c.random.IntN(3) > 0,
	}
}

// pickToken returns a live session, or any session as of one of its tokens, mostly one of
// the newest. ok is false if there is none.
func (c *comparison) pickToken() (s session.Session, ok bool) {
	if live := c.modelList(); len(live) > 0 && c.randomBool() {
		return live[c.random.IntN(len(live))], true
	}
	all := c.tokens[c.owner]
	if len(all) == 0 {
		return session.Session{}, false
	}
	back := c.random.IntN(4)
	if c.random.IntN(5) == 0 {
		back = c.random.IntN(30)
	}
	return all[max(0, len(all)-1-back)], true
}

// pickTarget returns what pickToken does, or now and then a session that never existed.
func (c *comparison) pickTarget() session.Session {
	s, ok := c.pickToken()
	if !ok || c.random.IntN(20) == 0 {
		return session.Session{ID: c.newID(), Type: session.Long, Generation: 1}
	}
	return s
}

// randomPresented returns the token of s, now and then with another generation or expiry.
func (c *comparison) randomPresented(s session.Session) session.Presented {
	presented := token(s)
	switch c.random.IntN(14) {
	case 2:
		presented.Secret[7]++
	case 0:
		presented.Generation += uint32(c.random.IntN(4))
	case 1:
		presented.Expires = presented.Expires.Add(time.Duration(c.random.IntN(5)-2) * time.Minute)
	}
	return presented
}

// randomCredential returns no credential, or one of a few.
func (c *comparison) randomCredential() (f session.Fingerprint) {
	f[0] = byte(c.random.IntN(4))
	return f
}

func (c *comparison) randomCaller() session.ID {
	if c.random.IntN(3) > 0 {
		return ""
	}
	return c.pickTarget().ID
}

// newSecret returns a random secret, the same one in each run.
func (c *comparison) newSecret() (s session.Secret) {
	binary.LittleEndian.PutUint64(s[:], c.random.Uint64())
	return s
}

// newID returns a random ID like session.NewID, but the same one in each run.
func (c *comparison) newID() session.ID {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], c.random.Uint64())
	binary.LittleEndian.PutUint64(b[8:], c.random.Uint64())
	return session.ID(base64.RawURLEncoding.EncodeToString(b[:]))
}
