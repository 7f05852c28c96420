package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
	for seed := range uint64(differentialSeeds) {
		t.Run(fmt.Sprint("Seed", seed), func(t *testing.T) {
			f := newFixture(t, open(t))
			if f.Clock == nil {
				t.Fatal("the harness has no Clock")
			}
			d := newDuel(f, seed)
			for n := range differentialSteps {
				d.turn(n)
				if t.Failed() {
					t.Fatalf("after %d steps, the last one on %v", n+1, d.owner)
				}
			}
		})
	}
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
}

// recollected is what the latest answer said of a session, and whether EndApp
// came after it began.
type recollected struct {
	session.Session
	before bool
}

func newDuel(f *fixture, seed uint64) *duel {
	d := &duel{
		fixture: f,
		model:   memstore.New(memstore.Options{Now: f.Clock}),
		random:  rand.New(rand.NewPCG(seed, 7)),
		owners:  []session.Owner{{App: "shop", User: "1"}, {App: "shop", User: "a:{b}|%"}, {App: "other", User: "1"}},
		seen:    map[session.Owner][]session.Session{},
		last:    map[session.Owner]map[session.ID]*recollected{},
	}
	for _, o := range d.owners {
		d.last[o] = map[session.ID]*recollected{}
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
	case k < 96:
		d.account(n)
	case k < 97:
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
	switch k := d.random.IntN(10); {
	case k < 3 || !ok:
		return
	case k < 7:
		d.Advance(time.Duration(d.random.Int64N(int64(5 * time.Second))).Truncate(time.Microsecond))
		return
	default:
		moments := []time.Time{s.Expires, s.Absolute, s.Rotated.Add(2 * time.Second), s.Rotated.Add(time.Minute), s.Expires.Add(-time.Minute)}
		beside := time.Duration(d.random.IntN(3)-1) * time.Microsecond
		if by := moments[d.random.IntN(len(moments))].Add(beside).Sub(d.Clock()); by > 0 && by < time.Hour {
			d.Advance(by)
		}
	}
}

func (d *duel) flag() bool { return d.random.IntN(2) == 0 }

func (d *duel) policy() session.Policy {
	return session.Policy{
		Lifetime:         time.Duration(60+d.random.IntN(300)) * time.Second,
		AbsoluteLifetime: time.Duration(360+d.random.IntN(600)) * time.Second,
		Rotate:           d.random.IntN(4) > 0,
		ReuseDetection:   d.flag(),
		RetryWindow:      []time.Duration{0, 2 * time.Second, time.Minute}[d.random.IntN(3)],
		UpdateLastLogin:  d.flag(),
		Extend:           d.flag(),
		ExtendEveryTime:  d.random.IntN(3) == 0,
		ExtendOnceAfter:  time.Minute,
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
		return session.Session{ID: session.NewID(), Type: session.Long, Generation: 1}
	}
	return s
}

// presented is the token of s, at times with another generation or expiry.
func (d *duel) presented(s session.Session) session.Presented {
	with := token(s)
	switch d.random.IntN(12) {
	case 0:
		with.Generation += uint32(d.random.IntN(3))
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

func (d *duel) create(p session.Policy) {
	step := session.CreateStep{
		Owner: d.owner, Policy: p, CheckUser: d.random.IntN(10) == 0,
		Session: session.Session{ID: session.NewID(), Type: session.Types[d.random.IntN(2)], Info: fmt.Sprint("device ", d.random.IntN(9))},
	}
	got, err := d.Store.Create(d.ctx, step)
	want, wantErr := d.model.Create(d.ctx, step)
	if d.outcome("Create", err, wantErr, nil) {
		d.same("Create", got.Session, want.Session)
		d.sameTraces("Create: evicted", got.Evicted, want.Evicted)
		d.saw(want.Session)
	}
}

func (d *duel) refresh(p session.Policy) {
	s := d.target()
	step := session.RefreshStep{
		Owner: d.owner, ID: s.ID, Type: s.Type, Presented: d.presented(s), Policy: p, CheckUser: d.random.IntN(10) == 0,
	}
	over := d.over(s.ID)
	got, err := d.Store.Refresh(d.ctx, step)
	want, wantErr := d.model.Refresh(d.ctx, step)
	if d.outcome("Refresh", err, wantErr, over) {
		if got.Code != want.Code {
			d.Errorf("Refresh: code %s, the model's %s", got.Code, want.Code)
		}
		d.same("Refresh", got.Session, want.Session)
		d.saw(want.Session)
	}
}

func (d *duel) saw(s session.Session) {
	d.seen[d.owner] = append(d.seen[d.owner], s)
	if old := d.last[d.owner][s.ID]; old != nil {
		old.Session = s
		return
	}
	d.last[d.owner][s.ID] = &recollected{Session: s}
}

func (d *duel) end() {
	step := session.EndStep{
		Owner: d.owner, Caller: d.caller(), ID: d.target().ID, Cause: session.CauseUser, By: "",
		CheckUser: d.random.IntN(10) == 0,
	}
	if d.flag() {
		step.Cause, step.By = session.CauseOperator, "ops|1"
	}
	over := d.over(step.ID)
	got, err := d.Store.End(d.ctx, step)
	want, wantErr := d.model.End(d.ctx, step)
	if d.outcome("End", err, wantErr, over) {
		d.sameTraces("End", got.Ended, want.Ended)
	}
}

func (d *duel) others() {
	keep := d.target()
	step := session.EndOthersStep{
		Owner: d.owner, Caller: d.caller(), Types: [][]session.Type{session.Types, {session.Long}, {session.Short}}[d.random.IntN(3)],
		Cause: session.CauseOthers, CheckUser: d.random.IntN(10) == 0, KeepWindow: d.policy().RetryWindow,
	}
	if d.random.IntN(4) > 0 {
		step.Keep, step.KeepGeneration = keep.ID, d.presented(keep).Generation
	}
	got, err := d.Store.EndOthers(d.ctx, step)
	want, wantErr := d.model.EndOthers(d.ctx, step)
	if d.outcome("EndOthers", err, wantErr, nil) {
		d.sameTraces("EndOthers", got.Ended, want.Ended)
	}
}

func (d *duel) logout(p session.Policy) {
	s := d.target()
	step := session.LogoutStep{Owner: d.owner, ID: s.ID, Type: s.Type, Presented: d.presented(s), Policy: p}
	over := d.over(s.ID)
	got, err := d.Store.Logout(d.ctx, step)
	want, wantErr := d.model.Logout(d.ctx, step)
	if d.outcome("Logout", err, wantErr, over) {
		d.sameTraces("Logout", got.Ended, want.Ended)
	}
}

func (d *duel) list() {
	step := session.ListStep{Owner: d.owner, Caller: d.caller(), Types: session.Types, CheckUser: d.flag()}
	_, err := d.Store.List(d.ctx, step)
	_, wantErr := d.model.List(d.ctx, step)
	d.outcome("List", err, wantErr, nil)
}

func (d *duel) live() {
	id := d.target().ID
	over := d.over(id)
	d.outcome("Live", d.Ledger.Live(d.ctx, d.owner, id), d.model.Live(d.ctx, d.owner, id), over)
}

// account makes the owner an active user, an inactive one, or none.
func (d *duel) account(n int) {
	id, app := session.TextID(d.owner.User), d.owner.App
	if d.random.IntN(3) == 0 {
		d.outcome("Remove", d.Directory.Remove(d.ctx, app, id), d.model.Remove(d.ctx, app, id), nil)
		return
	}
	a := session.Account{ID: id, Username: fmt.Sprint("name", n%3), Password: "x", Active: d.random.IntN(4) > 0}
	d.outcome("Put", d.Directory.Put(d.ctx, app, a), d.model.Put(d.ctx, app, a), nil)
}

// endApp lets a moment pass after it: at the very moment of an EndApp a store
// may take what begins for a little younger than it is.
func (d *duel) endApp() {
	_, err := d.Ledger.EndApp(d.ctx, d.owner.App)
	_, wantErr := d.model.EndApp(d.ctx, d.owner.App)
	d.outcome("EndApp", err, wantErr, nil)
	for o, all := range d.last {
		for _, s := range all {
			s.before = s.before || o.App == d.owner.App
		}
	}
	d.Advance(2 * time.Millisecond)
}

// over is what may be said of a session that is over without anybody having
// ended it; nothing where it isn't.
func (d *duel) over(id session.ID) (said []string) {
	s := d.last[d.owner][id]
	if s == nil {
		return nil
	}
	if s.before {
		said = append(said, saying(session.Ended, session.CauseApp))
	}
	if cause, over := session.Over(s.Session, d.Clock()); over {
		said = append(said, saying(session.Expired, cause))
	}
	if said != nil {
		said = append(said, saying(session.Unknown, ""))
	}
	return said
}

func saying(code session.Code, cause session.Cause) string { return string(code) + " " + string(cause) }

// outcome compares errors; true: both are nil. What is in over may be said by
// one store where the other says something else of it.
func (d *duel) outcome(step string, got, want error, over []string) bool {
	d.Helper()
	code, cause := session.CodeOf(got), session.CauseOf(got)
	if slices.Contains(over, saying(code, cause)) && slices.Contains(over, saying(session.CodeOf(want), session.CauseOf(want))) {
		return false
	}
	if code != session.CodeOf(want) || code != session.TokenRevoked && cause != session.CauseOf(want) {
		if !d.forgotten(got, want) {
			d.Errorf("%s: got %v, the model %v", step, got, want)
		}
	}
	return got == nil && want == nil
}

// forgotten tells whether one store may have kept a trace that the other has
// not: where there are as many as are kept, it is for a store to choose among
// those of one moment.
func (d *duel) forgotten(got, want error) bool {
	codes := []session.Code{session.CodeOf(got), session.CodeOf(want)}
	traces, err := d.model.Traces(d.ctx, d.owner)
	d.ok(err, "Traces of the model")
	return len(traces) >= maxTraces && slices.Contains(codes, session.Ended) && slices.Contains(codes, session.Unknown)
}

func (d *duel) modelList() []session.Session {
	d.Helper()
	listed, err := d.model.List(d.ctx, session.ListStep{Owner: d.owner, Types: session.Types})
	d.ok(err, "List of the model")
	return listed.Sessions
}

// lists compares everything that both stores show of the owner.
func (d *duel) lists() {
	d.Helper()
	got, want := d.listed(d.owner), d.modelList()
	d.wantIDs("List", ids(got), ids(want)...)
	for i, w := range want {
		d.same("List", got[i], w)
		if got[i].Info != w.Info {
			d.Errorf("List: info %q, want %q", got[i].Info, w.Info)
		}
	}
}

// compareTraces leaves out what EndApp ended, which a store needn't keep, and
// stops where so much has ended that stores may choose what they forget.
func (d *duel) compareTraces() {
	d.Helper()
	got, err := d.Ledger.Traces(d.ctx, d.owner)
	d.ok(err, "Traces")
	want, err := d.model.Traces(d.ctx, d.owner)
	d.ok(err, "Traces of the model")
	if len(want) < maxTraces {
		d.sameTraces("Traces", got, want)
	}
}

func (d *duel) sameTraces(what string, got, want []session.Trace) {
	d.Helper()
	if g, w := traceLines(got), traceLines(want); !slices.Equal(g, w) {
		d.Errorf("%s: got %v, the model %v", what, g, w)
	}
}

// traceLines makes traces comparable, in no order.
func traceLines(traces []session.Trace) []string {
	var out []string
	for _, t := range traces {
		if t.Cause != session.CauseApp {
			out = append(out, fmt.Sprint(t.ID, " ", t.Cause, " ", t.By, " ", t.At.UnixMilli()))
		}
	}
	slices.Sort(out)
	return out
}
