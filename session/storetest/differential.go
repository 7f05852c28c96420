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
	differentialSteps = 400
)

// Differential runs random sequences of steps, the same in each run, on a
// store and on the in-memory one with the same clock, and compares every
// answer and what a list shows after it. The harness must have a Clock.
func Differential(t *testing.T, open func(t *testing.T) Harness) {
	met := map[string]int{}
	for seed := range uint64(differentialSeeds) {
		t.Run(fmt.Sprint("Seed", seed), func(t *testing.T) {
			f := newFixture(t, open(t))
			if f.Clock == nil {
				t.Fatal("the harness has no Clock")
			}
			d := newDuel(f, seed, met)
			for n := range differentialSteps {
				d.turn(n)
				if t.Failed() {
					t.Fatalf("after %d steps, the last one on %v", n+1, d.owner)
				}
			}
		})
	}
	for _, outcome := range worthMeeting {
		if met[outcome] == 0 && !t.Failed() {
			t.Errorf("no sequence came to %q: %v", outcome, met)
		}
	}
}

// worthMeeting are outcomes that the sequences must have come to: a comparison
// of refusals only would compare little.
var worthMeeting = []string{
	"Create ok", "Create limit_reached", "Create user_not_found", "Create user_inactive", "Create evicts",
	"Refresh ok", "Refresh retried", "Refresh healed", "Refresh replayed", "Refresh spent", "Refresh unknown",
	"Refresh ended", "Refresh user_inactive", "Refresh extends",
	"List ok", "List token_revoked", "End ok", "End unknown", "End ended", "End token_revoked",
	"EndOthers ok", "EndOthers unknown", "EndOthers token_revoked", "EndOthers ends",
	"Logout ok", "Logout replayed", "Logout spent", "Logout unknown", "Logout ended",
	"Live ok", "Live ended", "Live unknown", "EndApp ok", "Put ok", "Put user_exists", "Remove ok", "Remove user_not_found",
}

// duel is a store and its model in the middle of a sequence.
type duel struct {
	*fixture
	model  *memstore.Store
	random *rand.Rand
	owners []session.Owner
	owner  session.Owner                                 // of this turn
	seen   map[session.Owner][]session.Session           // one per token given
	last   map[session.Owner]map[session.ID]*recollected // as the model has it
	met    map[string]int                                // how often the model came to what
}

// recollected is what the latest answer said of a session, and whether EndApp
// came after it began.
type recollected struct {
	session.Session
	before bool
}

func newDuel(f *fixture, seed uint64, met map[string]int) *duel {
	d := &duel{
		fixture: f,
		model:   memstore.New(memstore.Options{Now: f.Clock}),
		random:  rand.New(rand.NewPCG(seed, 7)),
		owners:  []session.Owner{{App: "shop", User: "1"}, {App: "shop", User: "a:{b}|%"}, {App: "other", User: "1"}},
		seen:    map[session.Owner][]session.Session{},
		last:    map[session.Owner]map[session.ID]*recollected{},
		met:     met,
	}
	for _, o := range d.owners {
		d.last[o] = map[session.ID]*recollected{}
		d.enrol(o, "name of "+o.User, true)
	}
	return d
}

// turn passes some time and runs one step on both stores.
func (d *duel) turn(n int) {
	d.owner = d.owners[min(d.random.IntN(5), 2)] // the last has more to do
	d.pass()
	switch k := d.random.IntN(100); {
	case k < 28:
		d.create(d.policy())
	case k < 68:
		d.refresh(d.policy())
	case k < 76:
		d.end()
	case k < 83:
		d.others()
	case k < 91:
		d.logout(d.policy())
	case k < 94:
		d.list()
	case k < 97:
		d.account(n)
	case k == 97 && d.flag():
		d.endApp()
	default:
		d.live()
	}
	d.lists()
	d.compareTraces()
}

// pass moves the clock: not at all, a little, or to a moment at which a rule of
// some session changes its mind, or just beside it.
func (d *duel) pass() {
	s, ok := d.pick()
	k := d.random.IntN(20)
	var moment time.Time
	switch {
	case k < 7 || !ok:
		return
	case k < 15:
		d.Advance(time.Duration(d.random.Int64N(int64(5 * time.Second))).Truncate(time.Microsecond))
		return
	case k < 19:
		moment = s.Rotated.Add(windows[d.random.IntN(len(windows))])
	default:
		moment = []time.Time{s.Expires, s.Absolute, s.Expires.Add(-lastMinutes)}[d.random.IntN(3)]
	}
	beside := time.Duration(d.random.IntN(3)-1) * time.Microsecond
	if by := moment.Add(beside).Sub(d.Clock()); by > 0 {
		d.Advance(by)
	}
}

// windows are the retry windows of the policies, lastMinutes their threshold of
// extension.
var windows = []time.Duration{0, 2 * time.Second, time.Minute}

const lastMinutes = 10 * time.Minute

func (d *duel) flag() bool { return d.random.IntN(2) == 0 }

func (d *duel) policy() session.Policy {
	return session.Policy{
		Lifetime:         time.Duration(600+d.random.IntN(3000)) * time.Second,
		AbsoluteLifetime: time.Duration(3600+d.random.IntN(3600)) * time.Second,
		Rotate:           d.random.IntN(4) > 0,
		ReuseDetection:   d.flag(),
		RetryWindow:      windows[d.random.IntN(len(windows))],
		UpdateLastLogin:  d.flag(),
		Extend:           d.flag(),
		ExtendEveryTime:  d.random.IntN(3) == 0,
		ExtendOnceAfter:  lastMinutes,
		Limit:            d.random.IntN(4) > 0,
		Max:              d.random.IntN(6),
		DestroyOldest:    d.random.IntN(3) > 0,
	}
}

// pick gives a live session, or any as one of its tokens has it, mostly a new one.
func (d *duel) pick() (session.Session, bool) {
	if live := d.modelList(); len(live) > 0 && d.flag() {
		return live[d.random.IntN(len(live))], true
	}
	all := d.seen[d.owner]
	if len(all) == 0 {
		return session.Session{}, false
	}
	back := d.random.IntN(4)
	if d.random.IntN(5) == 0 {
		back = d.random.IntN(30)
	}
	return all[max(0, len(all)-1-back)], true
}

// target is pick's, or now and then a session that there never was.
func (d *duel) target() session.Session {
	s, ok := d.pick()
	if !ok || d.random.IntN(20) == 0 {
		return session.Session{ID: d.newID(), Type: session.Long, Generation: 1}
	}
	return s
}

// presented is the token of s, at times with another generation or expiry.
func (d *duel) presented(s session.Session) session.Presented {
	with := token(s)
	switch d.random.IntN(12) {
	case 0:
		with.Generation += uint32(d.random.IntN(4))
	case 1:
		with.Expires = with.Expires.Add(time.Duration(d.random.IntN(5)-2) * time.Minute)
	}
	return with
}

func (d *duel) caller() session.ID {
	if d.random.IntN(3) > 0 {
		return ""
	}
	return d.target().ID
}

// newID is session.NewID, but the same in each run.
func (d *duel) newID() session.ID {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], d.random.Uint64())
	binary.LittleEndian.PutUint64(b[8:], d.random.Uint64())
	return session.ID(base64.RawURLEncoding.EncodeToString(b[:]))
}
