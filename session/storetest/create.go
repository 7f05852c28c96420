package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tokengate/session"
)

var createTests = map[string]func(*fixture){
	"Begins":                 createBegins,
	"EvictsTheOldest":        createEvicts,
	"Refuses":                createRefuses,
	"LoweredMaximum":         createLowered,
	"MaximumZero":            createZero,
	"Unlimited":              createUnlimited,
	"CountsApart":            createApart,
	"ExpiredDontCount":       createExpired,
	"ExpiredBesideLive":      createExpiredBeside,
	"RefreshedIsRecent":      createRecent,
	"NotUpdatedIsOld":        createNotUpdated,
	"TiesOlderFirst":         createTieCreated,
	"TiesLowerIDFirst":       createTieID,
	"MicrosecondsCount":      createMicros,
	"EvictsExactlyAtMaximum": createExact,
}

func createBegins(f *fixture) {
	in := session.Session{
		ID: session.NewID(), Type: session.Short, Info: "Firefox on Linux",
		Claims: json.RawMessage(`{"role":"ädmin","n":[1,2.50]}`),
	}
	out, err := f.Store.Create(f.ctx, session.CreateStep{Owner: f.owner, Session: in, Policy: f.policy})
	f.ok(err, "Create")
	want := f.policy.Start(in, out.Now)
	f.same("Create", out.Session, want)
	if f.Clock != nil && !out.Now.Equal(f.Clock()) {
		f.Errorf("Now is %s, the clock says %s", stamp(out.Now), stamp(f.Clock()))
	}
	if got := out.Session; got.Generation != 1 || got.Info != in.Info || string(got.Claims) != string(in.Claims) {
		f.Errorf("got generation %d, info %q, claims %s", got.Generation, got.Info, got.Claims)
	}
	if s := out.Session; s.Expires.Nanosecond() != 0 || out.Now.Add(time.Hour).Sub(s.Expires) >= time.Second ||
		s.Absolute.Nanosecond() != 0 || out.Now.Add(24*time.Hour).Sub(s.Absolute) >= time.Second {
		f.Errorf("Expires %s, Absolute %s are not whole seconds from %s", s.Expires, s.Absolute, out.Now)
	}
	if len(out.Evicted) != 0 {
		f.Errorf("evicted %v", out.Evicted)
	}
	stored := f.listed(f.owner)
	f.wantIDs("List", ids(stored), in.ID)
	f.same("List", stored[0], want)
}

func createEvicts(f *fixture) {
	s := f.logins(2)
	out, err := f.create(f.owner, session.Long, f.capped(2, true))
	f.ok(err, "Create")
	f.wantIDs("Evicted", endedIDs(out.Evicted), s[0].ID)
	f.wantIDs("List", ids(f.listed(f.owner)), s[1].ID, out.Session.ID)
	got := out.Evicted[0]
	if got.Cause != session.CauseEvicted || got.By != string(out.Session.ID) || apart(got.At, out.Now) >= time.Millisecond {
		f.Errorf("evicted %+v by %s at %s", got, out.Session.ID, out.Now)
	}
	_, err = f.present(s[0], token(s[0]), f.policy)
	f.fails(err, session.Ended, session.CauseEvicted)
	f.wantTraces(f.owner, got)
}

func apart(a, b time.Time) time.Duration { return a.Sub(b).Abs() }

func createRefuses(f *fixture) {
	s, p := f.logins(2), f.capped(2, false)
	before := f.listed(f.owner)
	for range 2 {
		_, err := f.create(f.owner, session.Long, p)
		f.fails(err, session.LimitReached, "")
	}
	for i, got := range f.listed(f.owner) {
		f.same("List after a refusal", got, before[i])
	}
	f.wantTraces(f.owner)
	_, err := f.end(s[0].ID, session.CauseUser, "")
	f.ok(err, "End")
	out, err := f.create(f.owner, session.Long, p)
	f.ok(err, "Create where a place is free")
	f.wantIDs("Evicted", endedIDs(out.Evicted))
}

func createLowered(f *fixture) {
	s := f.logins(5)
	_, err := f.create(f.owner, session.Long, f.capped(2, false))
	f.fails(err, session.LimitReached, "")
	f.wantIDs("List after a refusal", ids(f.listed(f.owner)), ids(s)...)
	out, err := f.create(f.owner, session.Long, f.capped(2, true))
	f.ok(err, "Create")
	f.wantSet("Evicted", endedIDs(out.Evicted), ids(s[:4])...)
	f.wantIDs("List", ids(f.listed(f.owner)), s[4].ID, out.Session.ID)
}

func createZero(f *fixture) {
	for _, evict := range []bool{true, false} {
		_, err := f.create(f.owner, session.Long, f.capped(0, evict))
		f.fails(err, session.LimitReached, "")
	}
	s := f.login()
	_, err := f.create(f.owner, session.Long, f.capped(0, true))
	f.fails(err, session.LimitReached, "")
	f.wantIDs("List", ids(f.listed(f.owner)), s.ID)
}

func createUnlimited(f *fixture) {
	p := f.capped(1, true)
	p.Limit = false
	for i := range 20 {
		out, err := f.create(f.owner, session.Long, p)
		f.ok(err, "Create")
		f.wantIDs(fmt.Sprintf("Evicted by login %d", i), endedIDs(out.Evicted))
	}
	if n := len(f.listed(f.owner)); n != 20 {
		f.Errorf("%d sessions, want 20", n)
	}
}

func createApart(f *fixture) {
	p := f.capped(1, false)
	for _, o := range []session.Owner{f.owner, f.user("2"), {App: "other", User: f.owner.User}} {
		for _, t := range session.Types {
			_, err := f.create(o, t, p)
			f.ok(err, fmt.Sprintf("Create %s of %s", t, o))
		}
		for _, t := range session.Types {
			_, err := f.create(o, t, p)
			f.fails(err, session.LimitReached, "")
			out, err := f.create(o, t, f.capped(1, true))
			f.ok(err, "Create")
			f.wantIDs("List", ids(f.listed(o, t)), out.Session.ID)
		}
	}
}

func createExpired(f *fixture) {
	for _, evict := range []bool{true, false} {
		p := f.capped(2, evict)
		for range 2 {
			for range 2 {
				out, err := f.create(f.owner, session.Long, p)
				f.ok(err, "Create")
				f.wantIDs("Evicted", endedIDs(out.Evicted))
			}
			f.Advance(p.Lifetime)
		}
	}
	f.wantTraces(f.owner)
}

// createExpiredBeside: of sessions that are over and sessions that live only
// the latter take places, and only they can be evicted.
func createExpiredBeside(f *fixture) {
	f.logins(3)
	f.Advance(f.policy.Lifetime - time.Minute)
	live := f.logins(2)
	f.Advance(time.Minute)
	_, err := f.create(f.owner, session.Long, f.capped(2, false))
	f.fails(err, session.LimitReached, "")
	out, err := f.create(f.owner, session.Long, f.capped(2, true))
	f.ok(err, "Create")
	f.wantIDs("Evicted", endedIDs(out.Evicted), live[0].ID)
	f.wantIDs("List", ids(f.listed(f.owner)), live[1].ID, out.Session.ID)
}

func createRecent(f *fixture) {
	s := f.logins(3)
	f.refresh(s[0], f.policy)
	f.Advance(time.Second)
	out, err := f.create(f.owner, session.Long, f.capped(3, true))
	f.ok(err, "Create")
	f.wantIDs("Evicted", endedIDs(out.Evicted), s[1].ID)
}

func createNotUpdated(f *fixture) {
	s, p := f.logins(3), f.capped(3, true)
	p.UpdateLastLogin = false
	f.refresh(s[0], p)
	f.Advance(time.Second)
	out, err := f.create(f.owner, session.Long, p)
	f.ok(err, "Create")
	f.wantIDs("Evicted", endedIDs(out.Evicted), s[0].ID)
}

// named begins a session whose ID begins with a character.
func (f *fixture) named(c string) session.Session {
	f.Helper()
	out, err := f.Store.Create(f.ctx, session.CreateStep{
		Owner: f.owner, Policy: f.policy,
		Session: session.Session{ID: session.ID(c) + session.NewID()[1:], Type: session.Long},
	})
	f.ok(err, "Create")
	return out.Session
}

// createTieCreated has sessions whose updates tie where the clock stands still,
// the older with the higher ID.
func createTieCreated(f *fixture) {
	var s []session.Session
	for _, c := range []string{"z", "y", "x", "w"} {
		s = append(s, f.named(c))
		f.Advance(time.Second)
	}
	for _, i := range []int{3, 1, 0, 2} {
		f.refresh(s[i], f.policy)
	}
	f.evictsInOrder("z", "y")
}

func createTieID(f *fixture) {
	for _, c := range []string{"b", "_", "Z", "a", "0", "-", "A", "9", "z"} {
		f.named(c)
	}
	f.evictsInOrder("-", "0", "9", "A", "Z", "_")
}

// createMicros has sessions of one millisecond, the older with the higher ID.
func createMicros(f *fixture) {
	for _, c := range []string{"z", "m", "a"} {
		f.named(c)
		f.Advance(time.Microsecond)
	}
	f.evictsInOrder("z")
}

// evictsInOrder begins one session more, at a maximum that so many of the
// present ones must make room for, and wants those gone whose IDs begin so.
// With a running clock there are no ties: then it wants what LessRecent says.
func (f *fixture) evictsInOrder(first ...string) {
	f.Helper()
	s := f.listed(f.owner)
	slices.SortFunc(s, session.LessRecent)
	out, err := f.create(f.owner, session.Long, f.capped(len(s)-len(first)+1, true))
	f.ok(err, "Create")
	f.wantSet("Evicted", endedIDs(out.Evicted), ids(s[:len(first)])...)
	for _, t := range out.Evicted {
		if f.Clock != nil && !slices.Contains(first, string(t.ID[:1])) {
			f.Errorf("%s was evicted, want those that begin with %v", t.ID, first)
		}
	}
}

func createExact(f *fixture) {
	const limit = 5
	var all []session.ID
	for i := range 3 * limit {
		out, err := f.create(f.owner, session.Long, f.capped(limit, true))
		f.ok(err, "Create")
		all = append(all, out.Session.ID)
		f.wantIDs("List", ids(f.listed(f.owner)), all[max(0, i+1-limit):]...)
		f.Advance(time.Millisecond)
	}
}

// wantSet compares ids where their order doesn't count.
func (f *fixture) wantSet(what string, got []session.ID, want ...session.ID) {
	f.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	f.wantIDs(what, got, want...)
}

// wantTraces wants exactly these of an owner, the latest first; of equal
// moments in any order.
func (f *fixture) wantTraces(o session.Owner, want ...session.Trace) {
	f.Helper()
	got := f.traces(o)
	if len(got) != len(want) {
		f.Fatalf("traces: got %v, want %v", got, want)
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(t session.Trace) bool { return t.ID == w.ID })
		if i < 0 || got[i].Cause != w.Cause || got[i].By != w.By || apart(got[i].At, w.At) >= time.Millisecond {
			f.Fatalf("traces: got %v, want %v", got, want)
		}
	}
}

// traces gives an owner's traces and wants them ordered.
func (f *fixture) traces(o session.Owner) []session.Trace {
	f.Helper()
	got, err := f.Ledger.Traces(f.ctx, o)
	f.ok(err, "Traces")
	if !slices.IsSortedFunc(got, func(a, b session.Trace) int { return b.At.Compare(a.At) }) {
		f.Fatalf("traces are not in order, the latest first: %v", got)
	}
	return got
}
