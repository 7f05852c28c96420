// Package storetest is the conformance suite of [session.Store], [session.Directory],
// [session.Limiter] and [session.Feed]: tests that every implementation runs. [Run] tests what one step
// does. [Differential] compares random sequences of steps with the in-memory store.
// [Model] checks recorded histories of concurrent steps for linearizability.
//
// Where the contract leaves a choice, the suite accepts either answer. An expired
// session may be reported as Expired or, once its memory is freed, as Unknown. A
// session that RevokeApp revoked may be reported as Revoked or, once freed, as Unknown.
package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// Harness is one store under test. The store is empty and no other test uses it.
type Harness struct {
	Store     session.Store
	Directory session.Directory
	Limiter   session.Limiter
	Advance   func(d time.Duration) // moves the store's clock forward, or back if d is negative

	// Clock returns the store's time, in whole microseconds, if the clock stands still
	// between two calls of Advance. Differential needs it. If it is nil, Run cannot test
	// time limits to the microsecond, and keeps half a second away from them.
	Clock func() time.Time

	// Feed reports the revocations of Store. Nil means that it is not tested.
	Feed session.Feed
}

// Run tests every step, alone and concurrently with others. Each test calls open for a
// store of its own.
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
		{"Revoke", revokeTests},
		{"RevokeOthers", revokeOthersTests},
		{"Many", manyTests},
		{"Logout", logoutTests},
		{"Live", liveTests},
		{"Token", tokenTests},
		{"Credential", credentialTests},
		{"Tombstones", tombstoneTests},
		{"Ready", readyTests},
		{"RevokeApp", revokeAppTests},
		{"CheckUser", checkUserTests},
		{"Directory", directoryTests},
		{"Limiter", limiterTests},
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

// fixture is a store, and the owner and the policy that a test uses with it.
// Methods named after a step return the step's error. noError and the methods whose
// names begin with must, want or login fail the test.
type fixture struct {
	*testing.T
	Harness
	ctx    context.Context
	owner  session.Owner
	policy session.Policy
	margin time.Duration // how near to a time limit the clock can be set
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

// otherUser returns another owner of the fixture's app.
func (f *fixture) otherUser(suffix string) session.Owner {
	return session.Owner{App: f.owner.App, User: f.owner.User + suffix}
}

// withMaximum returns the fixture's policy with a maximum of n sessions. At the maximum
// Create evicts if evict is set, and fails otherwise.
func (f *fixture) withMaximum(n int, evict bool) session.Policy {
	p := f.policy
	p.Limit, p.Max, p.DestroyOldest = true, n, evict
	return p
}

func (f *fixture) create(o session.Owner, t session.Type, p session.Policy) (session.CreateResult, error) {
	return f.Store.Create(f.ctx, session.CreateStep{
		Owner: o, Session: session.Session{ID: session.NewID(), Type: t, Secret: session.NewSecret()}, Policy: p,
	})
}

func (f *fixture) live(o session.Owner, id session.ID) error {
	return f.Store.Live(f.ctx, session.LiveStep{Owner: o, ID: id})
}

// login creates a LONG session of the fixture's owner.
func (f *fixture) login() session.Session { return f.loginAs(f.owner, session.Long) }

func (f *fixture) loginAs(o session.Owner, t session.Type) session.Session {
	f.Helper()
	created, err := f.create(o, t, f.policy)
	f.noError(err, "Create")
	return created.Session
}

// logins creates n sessions, one second apart.
func (f *fixture) logins(n int) []session.Session {
	f.Helper()
	all := make([]session.Session, n)
	for i := range all {
		all[i] = f.login()
		f.Advance(time.Second)
	}
	return all
}

// token returns what the current refresh token of s presents.
func token(s session.Session) session.Presented {
	return session.Presented{Secret: s.Secret, Generation: s.Generation, Expires: s.Expires}
}

func (f *fixture) refresh(s session.Session, presented session.Presented, p session.Policy) (session.RefreshResult, error) {
	return f.Store.Refresh(f.ctx, session.RefreshStep{
		Owner: f.owner, ID: s.ID, Type: s.Type, Presented: presented, Policy: p,
	})
}

// refreshFrom refreshes s from a client's network.
func (f *fixture) refreshFrom(network string, s session.Session, presented session.Presented, p session.Policy) (session.RefreshResult, error) {
	return f.Store.Refresh(f.ctx, session.RefreshStep{
		Owner: f.owner, ID: s.ID, Type: s.Type, Presented: presented, Policy: p, Client: session.NewClientTag(s.Secret, network),
	})
}

// mustRefresh refreshes s with its current token. It checks that Refresh and List show
// what [session.Policy.Refresh] returns for it, and returns that session.
func (f *fixture) mustRefresh(s session.Session, p session.Policy) session.Session {
	f.Helper()
	return f.mustRefreshWith(s, token(s), p)
}

func (f *fixture) mustRefreshWith(s session.Session, presented session.Presented, p session.Policy) session.Session {
	f.Helper()
	result, err := f.refresh(s, presented, p)
	f.noError(err, "Refresh")
	want, code := p.Refresh(s, presented, result.Now)
	if result.Code != code {
		f.Fatalf("Refresh: got code %s, want %s", result.Code, code)
	}
	f.wantSession("Refresh", result.Session, want)
	if stored, ok := f.stored(s.ID); ok {
		f.wantSession("List after Refresh", stored, want)
	} else {
		f.Fatalf("List after Refresh: session %s is missing", s.ID)
	}
	return result.Session
}

// mustList returns the sessions that List shows: those of the given types, or all.
func (f *fixture) mustList(o session.Owner, types ...session.Type) []session.Session {
	f.Helper()
	if len(types) == 0 {
		types = session.Types
	}
	out, err := f.Store.List(f.ctx, session.ListStep{Owner: o, Types: types})
	f.noError(err, "List")
	return out.Sessions
}

// stored returns a session of the fixture's owner as List shows it.
func (f *fixture) stored(id session.ID) (session.Session, bool) {
	f.Helper()
	for _, s := range f.mustList(f.owner) {
		if s.ID == id {
			return s, true
		}
	}
	return session.Session{}, false
}

// revoke revokes a session without a caller, as an operator does.
func (f *fixture) revoke(id session.ID, cause session.Cause, by string) (session.RevokeResult, error) {
	return f.Store.Revoke(f.ctx, session.RevokeStep{Owner: f.owner, ID: id, Cause: cause, By: by})
}

// advanceTo moves the clock from now to the given moment minus early. It does nothing if
// that is in the past.
func (f *fixture) advanceTo(now, moment time.Time, early time.Duration) {
	if f.Clock != nil {
		now = f.Clock() // Updated may be later
	}
	if d := moment.Sub(now) - early; d > 0 {
		f.Advance(d)
	}
}

func (f *fixture) noError(err error, step string) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", step, err)
	}
}

// wantError checks that err has a code and, unless it is empty, a cause.
func (f *fixture) wantError(err error, code session.Code, cause session.Cause) {
	f.Helper()
	if session.CodeOf(err) != code || cause != "" && session.CauseOf(err) != cause {
		f.Fatalf("got %v, want %s %s", err, code, cause)
	}
}

// wantExpired checks that err is a valid answer about an expired session: Expired and
// the cause, or Unknown.
func (f *fixture) wantExpired(err error, cause session.Cause) {
	f.Helper()
	if session.CodeOf(err) != session.Unknown {
		f.wantError(err, session.Expired, cause)
	}
}

// wantRevokedByApp checks that err is a valid answer about a session that RevokeApp
// revoked: Revoked and CauseApp, or Unknown.
func (f *fixture) wantRevokedByApp(err error) {
	f.Helper()
	if session.CodeOf(err) != session.Unknown {
		f.wantError(err, session.Revoked, session.CauseApp)
	}
}

// wantSession compares two sessions, except Info and Claims, which not every step reads.
func (f *fixture) wantSession(what string, got, want session.Session) {
	f.Helper()
	if d := difference(got, want); d != "" {
		f.Fatalf("%s: %s", what, d)
	}
}

// difference describes the fields in which two sessions differ, except Info and Claims.
func difference(got, want session.Session) string {
	var out []string
	if got.ID != want.ID || got.Type != want.Type || got.Generation != want.Generation {
		out = append(out, "got "+describeSession(got)+", want "+describeSession(want))
	}
	if got.Secret != want.Secret || got.Credential != want.Credential {
		out = append(out, fmt.Sprintf("the secret or the credential (%x, want %x) differs", got.Credential, want.Credential))
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
			out = append(out, field.name+" is "+formatTime(field.got)+", want "+formatTime(field.want))
		}
	}
	return strings.Join(out, "; ")
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000") }

// ids returns the IDs of sessions, in their order.
func ids(sessions []session.Session) []session.ID {
	out := make([]session.ID, len(sessions))
	for i, s := range sessions {
		out[i] = s.ID
	}
	return out
}

// tombstoneIDs returns the IDs of tombstones, in their order.
func tombstoneIDs(tombstones []session.Tombstone) []session.ID {
	out := make([]session.ID, len(tombstones))
	for i, t := range tombstones {
		out[i] = t.ID
	}
	return out
}

// wantList checks that List shows exactly these sessions of the fixture's owner, in
// this order.
func (f *fixture) wantList(want ...session.ID) {
	f.Helper()
	f.wantIDs("List", ids(f.mustList(f.owner)), want...)
}

// wantIDs compares IDs and their order.
func (f *fixture) wantIDs(what string, got []session.ID, want ...session.ID) {
	f.Helper()
	if len(got) != len(want) {
		f.Fatalf("%s: got %d sessions %v, want %d sessions %v", what, len(got), got, len(want), want)
	}
	for i := range got {
		if got[i] != want[i] {
			f.Fatalf("%s: got %v, want %v", what, got, want)
		}
	}
}

// describeSession identifies a session in a message.
func describeSession(s session.Session) string {
	return fmt.Sprintf("%s %s/%d", s.Type, s.ID, s.Generation)
}
