// Package storetest is the contract of session.Store, Ledger, Directory and
// Feed as tests that every implementation runs: single steps (Run), random
// sequences beside the in-memory store (Differential), and a model against which
// recorded histories are checked for linearizability (Model).
//
// Where the contract leaves a choice the suite takes either: a session whose
// time is over may be told as Expired or, once its memory is freed, as Unknown;
// one that EndApp ended as Ended or, once freed, as Unknown.
package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// Harness is one store under test, empty and shared with nobody.
type Harness struct {
	Store     session.Store
	Ledger    session.Ledger
	Directory session.Directory
	Advance   func(d time.Duration) // moves the store's clock forward

	// Clock is the store's clock where it stands still between two calls of
	// Advance, in whole microseconds. Differential needs it; without it Run
	// can't test limits to the microsecond, and keeps half a second off them.
	Clock func() time.Time

	// Feed reports the endings of Store. nil: not tested.
	Feed session.Feed
}

// Run tests everything that one step does, and what concurrent ones do. Each
// test opens a store of its own.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*fixture)
	}{
		{"Create", createTests},
		{"Refresh", refreshTests},
		{"Extension", extensionTests},
		{"Expiry", expiryTests},
		{"List", listTests},
		{"End", endTests},
		{"EndOthers", othersTests},
		{"Logout", logoutTests},
		{"Ledger", ledgerTests},
		{"EndApp", epochTests},
		{"Users", userTests},
		{"Directory", directoryTests},
		{"Feed", feedTests},
		{"Races", raceTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) { test(newFixture(t, open(t))) })
			}
		})
	}
}

// fixture is a store with an owner and a policy to test it with.
type fixture struct {
	*testing.T
	Harness
	ctx    context.Context
	owner  session.Owner
	policy session.Policy
	margin time.Duration // how near to a limit the clock can be set
}

func newFixture(t *testing.T, h Harness) *fixture {
	f := &fixture{
		T: t, Harness: h, ctx: t.Context(),
		owner: session.Owner{App: "shop", User: t.Name()},
		policy: session.Policy{
			Lifetime: time.Hour, AbsoluteLifetime: 24 * time.Hour,
			Rotate: true, ReuseDetection: true, RetryWindow: 30 * time.Second, UpdateLastLogin: true,
		},
		margin: time.Microsecond,
	}
	if h.Clock == nil {
		f.margin = 500 * time.Millisecond
	}
	return f
}

// user is another owner of the same app.
func (f *fixture) user(name string) session.Owner {
	return session.Owner{App: f.owner.App, User: f.owner.User + name}
}

// capped is the fixture's policy with a maximum.
func (f *fixture) capped(n int, evict bool) session.Policy {
	p := f.policy
	p.Limit, p.Max, p.DestroyOldest = true, n, evict
	return p
}

func (f *fixture) create(o session.Owner, t session.Type, p session.Policy) (session.Created, error) {
	return f.Store.Create(f.ctx, session.CreateStep{
		Owner: o, Session: session.Session{ID: session.NewID(), Type: t}, Policy: p,
	})
}

// login begins a LONG session of the fixture's owner.
func (f *fixture) login() session.Session { return f.loginAs(f.owner, session.Long) }

func (f *fixture) loginAs(o session.Owner, t session.Type) session.Session {
	f.Helper()
	created, err := f.create(o, t, f.policy)
	f.ok(err, "Create")
	return created.Session
}

// logins begins n sessions, a second apart.
func (f *fixture) logins(n int) []session.Session {
	f.Helper()
	all := make([]session.Session, n)
	for i := range all {
		all[i] = f.login()
		f.Advance(time.Second)
	}
	return all
}

// token is what the current refresh token of s says.
func token(s session.Session) session.Presented {
	return session.Presented{Generation: s.Generation, Expires: s.Expires}
}

func (f *fixture) present(s session.Session, with session.Presented, p session.Policy) (session.Refreshed, error) {
	return f.Store.Refresh(f.ctx, session.RefreshStep{
		Owner: f.owner, ID: s.ID, Type: s.Type, Presented: with, Policy: p,
	})
}

// refresh presents the token that s has and wants what the policy makes of it.
func (f *fixture) refresh(s session.Session, p session.Policy) session.Session {
	f.Helper()
	return f.refreshWith(s, token(s), p)
}

func (f *fixture) refreshWith(s session.Session, with session.Presented, p session.Policy) session.Session {
	f.Helper()
	done, err := f.present(s, with, p)
	f.ok(err, "Refresh")
	want, code := p.Refresh(s, with, done.Now)
	if done.Code != code {
		f.Fatalf("Refresh: code %s, want %s", done.Code, code)
	}
	f.same("Refresh", done.Session, want)
	if stored, ok := f.stored(s.ID); ok {
		f.same("List after Refresh", stored, want)
	} else {
		f.Fatalf("List after Refresh: session %s is missing", s.ID)
	}
	return done.Session
}

func (f *fixture) listed(o session.Owner, types ...session.Type) []session.Session {
	f.Helper()
	if len(types) == 0 {
		types = session.Types
	}
	out, err := f.Store.List(f.ctx, session.ListStep{Owner: o, Types: types})
	f.ok(err, "List")
	return out.Sessions
}

func (f *fixture) stored(id session.ID) (session.Session, bool) {
	f.Helper()
	for _, s := range f.listed(f.owner) {
		if s.ID == id {
			return s, true
		}
	}
	return session.Session{}, false
}

// end ends one session as an operator would.
func (f *fixture) end(id session.ID, cause session.Cause, by string) (session.Receipt, error) {
	return f.Store.End(f.ctx, session.EndStep{Owner: f.owner, ID: id, Cause: cause, By: by})
}

// until moves the clock from now to a moment, less early.
func (f *fixture) until(now, moment time.Time, early time.Duration) {
	if d := moment.Sub(now) - early; d > 0 {
		f.Advance(d)
	}
}

func (f *fixture) ok(err error, step string) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", step, err)
	}
}

// fails wants an error with a code and, unless it is empty, a cause.
func (f *fixture) fails(err error, code session.Code, cause session.Cause) {
	f.Helper()
	if session.CodeOf(err) != code || cause != "" && session.CauseOf(err) != cause {
		f.Fatalf("got %v, want %s %s", err, code, cause)
	}
}

// failsOver wants what may be said of a session whose time is over.
func (f *fixture) failsOver(err error, cause session.Cause) {
	f.Helper()
	if session.CodeOf(err) != session.Unknown {
		f.fails(err, session.Expired, cause)
	}
}

// failsApp wants what may be said of a session that EndApp ended.
func (f *fixture) failsApp(err error) {
	f.Helper()
	if session.CodeOf(err) != session.Unknown {
		f.fails(err, session.Ended, session.CauseApp)
	}
}

// same compares sessions but for Info and Claims, which not every step reads.
func (f *fixture) same(what string, got, want session.Session) {
	f.Helper()
	if d := difference(got, want); d != "" {
		f.Fatalf("%s: %s", what, d)
	}
}

// difference names the fields in which two sessions differ, Info and Claims aside.
func difference(got, want session.Session) string {
	var out []string
	if got.ID != want.ID || got.Type != want.Type || got.Generation != want.Generation {
		out = append(out, "got "+name(got)+", want "+name(want))
	}
	for _, field := range []struct {
		name      string
		got, want time.Time
	}{
		{"Created", got.Created, want.Created},
		{"Updated", got.Updated, want.Updated},
		{"Rotated", got.Rotated, want.Rotated},
		{"Expires", got.Expires, want.Expires},
		{"Absolute", got.Absolute, want.Absolute},
	} {
		if !field.got.Equal(field.want) {
			out = append(out, field.name+" is "+stamp(field.got)+", want "+stamp(field.want))
		}
	}
	return strings.Join(out, "; ")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000") }

// ids gives the sessions' ids in their order.
func ids(sessions []session.Session) []session.ID {
	out := make([]session.ID, len(sessions))
	for i, s := range sessions {
		out[i] = s.ID
	}
	return out
}

// endedIDs gives the traces' ids in their order.
func endedIDs(traces []session.Trace) []session.ID {
	out := make([]session.ID, len(traces))
	for i, t := range traces {
		out[i] = t.ID
	}
	return out
}

// wantIDs compares ids where their order counts.
func (f *fixture) wantIDs(what string, got []session.ID, want ...session.ID) {
	f.Helper()
	if len(got) != len(want) {
		f.Fatalf("%s: got %d sessions %v, want %d %v", what, len(got), got, len(want), want)
	}
	for i := range got {
		if got[i] != want[i] {
			f.Fatalf("%s: got %v, want %v", what, got, want)
		}
	}
}

// name tells a session in a message.
func name(s session.Session) string { return fmt.Sprintf("%s %s/%d", s.Type, s.ID, s.Generation) }
