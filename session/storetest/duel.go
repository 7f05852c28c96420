package storetest

import (
	"fmt"
	"slices"
	"time"

	"tokengate/session"
)

func (d *duel) create(p session.Policy) {
	step := session.CreateStep{
		Owner: d.owner, Policy: p, Hash: []string{"", "x", "y"}[max(d.random.IntN(12)-9, 0)],
		Session: session.Session{ID: d.newID(), Type: session.Types[d.random.IntN(2)], Info: fmt.Sprint("device ", d.random.IntN(9))},
	}
	got, err := d.Store.Create(d.ctx, step)
	want, wantErr := d.model.Create(d.ctx, step)
	if d.outcome("Create", err, wantErr, nil) {
		d.same("Create", got.Session, want.Session)
		d.sameTraces("Create: evicted", got.Evicted, want.Evicted)
		d.saw(want.Session)
		d.meet("Create evicts", len(want.Evicted) > 0)
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
		d.meet("Refresh "+string(want.Code), want.Code != session.OK)
		d.meet("Refresh extends", want.Session.Expires.After(s.Expires))
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
		d.meet("EndOthers ends", len(want.Ended) > 0)
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
	if d.random.IntN(4) == 0 {
		id, app := session.TextID(d.owner.User), d.owner.App
		_, err := d.Directory.Remove(d.ctx, app, id)
		_, wantErr := d.model.Remove(d.ctx, app, id)
		d.outcome("Remove", err, wantErr, nil)
		return
	}
	d.enrol(d.owner, fmt.Sprint("name", n%2), d.random.IntN(3) > 0)
}

// enrol writes a user, now and then in the place of nobody whoever is there.
func (d *duel) enrol(o session.Owner, username string, active bool) {
	a := session.Account{ID: session.TextID(o.User), Username: username, Password: "x", Active: active}
	var was session.Account
	if d.random.IntN(8) > 0 {
		was, _ = d.model.Account(d.ctx, o.App, a.ID)
	}
	_, err := d.Directory.Put(d.ctx, o.App, a, was)
	_, wantErr := d.model.Put(d.ctx, o.App, a, was)
	d.outcome("Put", err, wantErr, nil)
}

func (d *duel) meet(outcome string, is bool) {
	if is {
		d.met[outcome]++
	}
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
	d.met[step+" "+string(session.CodeOf(want))]++
	code, cause := session.CodeOf(got), session.CauseOf(got)
	if slices.Contains(over, saying(code, cause)) && slices.Contains(over, saying(session.CodeOf(want), session.CauseOf(want))) {
		return false
	}
	wanted := session.CauseOf(want)
	if code == session.TokenRevoked && (cause == "" || wanted == "") {
		wanted = cause // one of them may have forgotten the caller's session
	}
	if (code != session.CodeOf(want) || cause != wanted) && !d.forgotten(got, want) {
		d.Errorf("%s: got %v, the model %v", step, got, want)
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
