package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tokengate/session"
)

var createTests = map[string]func(*fixture){
	"creates a session as the policy says":                createSession,
	"evicts the oldest session at the maximum":            createEvicts,
	"fails at the maximum without eviction":               createFailsAtMaximum,
	"evicts all surplus sessions after a lowered maximum": createLoweredMaximum,
	"maximum zero rejects every login":                    createMaximumZero,
	"no limit":                                            createUnlimited,
	"counts each type, user and app separately":           createCountsSeparately,
	"expired sessions do not count":                       createIgnoresExpired,
	"expired sessions do not count beside live ones":      createIgnoresExpiredBesideLive,
	"a refreshed session is recent":                       createRefreshedIsRecent,
	"a refresh without UpdateLastLogin is not recent":     createNotUpdatedIsOldest,
	"evicts the earlier created of equally updated ones":  createTieByCreated,
	"evicts the lower ID of sessions created together":    createTieByID,
	"compares Updated to the microsecond":                 createMicroseconds,
	"many logins never exceed the maximum":                createKeepsMaximum,
	"the newest session stays if the clock steps back":    createAfterClockStepsBack,
	"at the ceiling without a maximum":                    createAtCeiling,
}

// createSession checks the result of Create and what List shows of the session.
func createSession(f *fixture) {
	in := session.Session{
		ID: session.NewID(), Type: session.Short, Info: "Firefox on Linux",
		Claims: json.RawMessage(`{"role":"ädmin","n":[1,2.50]}`),
	}
	out, err := f.Store.Create(f.ctx, session.CreateStep{Owner: f.owner, Session: in, Policy: f.policy})
	f.noError(err, "Create")
	want := f.policy.Start(in, out.Now)
	f.wantSession("Create", out.Session, want)
	if f.Clock != nil && !out.Now.Equal(f.Clock()) {
		f.Errorf("Now is %s, want the clock's %s", formatTime(out.Now), formatTime(f.Clock()))
	}
	if got := out.Session; got.Generation != 1 || got.Info != in.Info || string(got.Claims) != string(in.Claims) {
		f.Errorf("got generation %d, info %q, claims %s, want 1, %q, %s", got.Generation, got.Info, got.Claims, in.Info, in.Claims)
	}
	if s := out.Session; s.Expires.Nanosecond() != 0 || out.Now.Add(time.Hour).Sub(s.Expires) >= time.Second ||
		s.Absolute.Nanosecond() != 0 || out.Now.Add(24*time.Hour).Sub(s.Absolute) >= time.Second {
		f.Errorf("Expires is %s and Absolute %s, want whole seconds 1h and 24h after %s", s.Expires, s.Absolute, out.Now)
	}
	if len(out.Revoked) != 0 {
		f.Errorf("evicted %v, want none", out.Revoked)
	}
	stored := f.mustList(f.owner)
	f.wantIDs("List", ids(stored), in.ID)
	f.wantSession("List", stored[0], want)
}

// createEvicts checks that a login at the maximum evicts the least recently updated
// session, whose tombstone names the new session.
func createEvicts(f *fixture) {
	s := f.logins(2)
	out, err := f.create(f.owner, session.Long, f.withMaximum(2, true))
	f.noError(err, "Create")
	f.wantIDs("Evicted", tombstoneIDs(out.Revoked), s[0].ID)
	f.wantList(s[1].ID, out.Session.ID)
	got := out.Revoked[0]
	if got.Cause != session.CauseEvicted || got.By != string(out.Session.ID) || timeDiff(got.At, out.Now) >= time.Millisecond {
		f.Errorf("got %+v, want %s by %s at %s", got, session.CauseEvicted, out.Session.ID, out.Now)
	}
	_, err = f.refresh(s[0], token(s[0]), f.policy)
	f.wantError(err, session.Revoked, session.CauseEvicted)
	f.wantTombstones(f.owner, got)
}

// timeDiff returns the absolute difference of two times.
func timeDiff(a, b time.Time) time.Duration { return a.Sub(b).Abs() }

// createFailsAtMaximum checks that Create fails with LimitReached and changes nothing
// until a session is revoked.
func createFailsAtMaximum(f *fixture) {
	s, p := f.logins(2), f.withMaximum(2, false)
	before := f.mustList(f.owner)
	for range 2 {
		_, err := f.create(f.owner, session.Long, p)
		f.wantError(err, session.LimitReached, "")
	}
	for i, got := range f.mustList(f.owner) {
		f.wantSession("List after LimitReached", got, before[i])
	}
	f.wantTombstones(f.owner)
	_, err := f.revoke(s[0].ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	out, err := f.create(f.owner, session.Long, p)
	f.noError(err, "Create below the maximum")
	f.wantIDs("Evicted", tombstoneIDs(out.Revoked))
}

// createLoweredMaximum checks that a user with more sessions than the maximum, which was
// lowered since, keeps them until a login evicts all that are too many.
func createLoweredMaximum(f *fixture) {
	s := f.logins(5)
	_, err := f.create(f.owner, session.Long, f.withMaximum(2, false))
	f.wantError(err, session.LimitReached, "")
	f.wantList(ids(s)...)
	out, err := f.create(f.owner, session.Long, f.withMaximum(2, true))
	f.noError(err, "Create")
	f.wantIDSet("Evicted", tombstoneIDs(out.Revoked), ids(s[:4])...)
	f.wantList(s[4].ID, out.Session.ID)
}

// createMaximumZero checks that a maximum of zero rejects every login, and evicts no
// session even if the policy asks for eviction.
func createMaximumZero(f *fixture) {
	for _, evict := range []bool{true, false} {
		_, err := f.create(f.owner, session.Long, f.withMaximum(0, evict))
		f.wantError(err, session.LimitReached, "")
	}
	s := f.login()
	_, err := f.create(f.owner, session.Long, f.withMaximum(0, true))
	f.wantError(err, session.LimitReached, "")
	f.wantList(s.ID)
}

func createUnlimited(f *fixture) {
	p := f.withMaximum(1, true)
	p.Limit = false
	for i := range 20 {
		out, err := f.create(f.owner, session.Long, p)
		f.noError(err, "Create")
		f.wantIDs(fmt.Sprintf("Evicted by login %d", i), tombstoneIDs(out.Revoked))
	}
	if n := len(f.mustList(f.owner)); n != 20 {
		f.Errorf("got %d sessions, want 20", n)
	}
}

// createCountsSeparately checks that sessions of another type, user or app do not count.
func createCountsSeparately(f *fixture) {
	p := f.withMaximum(1, false)
	for _, o := range []session.Owner{f.owner, f.otherUser("2"), {App: "other", User: f.owner.User}} {
		for _, t := range session.Types {
			_, err := f.create(o, t, p)
			f.noError(err, fmt.Sprintf("Create %s of %s", t, o))
		}
		for _, t := range session.Types {
			_, err := f.create(o, t, p)
			f.wantError(err, session.LimitReached, "")
			out, err := f.create(o, t, f.withMaximum(1, true))
			f.noError(err, "Create")
			f.wantIDs("List", ids(f.mustList(o, t)), out.Session.ID)
		}
	}
}

// createIgnoresExpired checks that expired sessions neither count nor leave tombstones.
func createIgnoresExpired(f *fixture) {
	for _, evict := range []bool{true, false} {
		p := f.withMaximum(2, evict)
		for range 2 {
			for range 2 {
				out, err := f.create(f.owner, session.Long, p)
				f.noError(err, "Create")
				f.wantIDs("Evicted", tombstoneIDs(out.Revoked))
			}
			f.Advance(p.Lifetime)
		}
	}
	f.wantTombstones(f.owner)
}

// createIgnoresExpiredBesideLive checks that only the live sessions of a user count and
// are evicted while expired ones are still stored.
func createIgnoresExpiredBesideLive(f *fixture) {
	f.logins(3)
	f.Advance(f.policy.Lifetime - time.Minute)
	live := f.logins(2)
	f.Advance(time.Minute)
	_, err := f.create(f.owner, session.Long, f.withMaximum(2, false))
	f.wantError(err, session.LimitReached, "")
	out, err := f.create(f.owner, session.Long, f.withMaximum(2, true))
	f.noError(err, "Create")
	f.wantIDs("Evicted", tombstoneIDs(out.Revoked), live[0].ID)
	f.wantList(live[1].ID, out.Session.ID)
}

// createRefreshedIsRecent checks that a refresh moves a session to the end of the
// eviction order.
func createRefreshedIsRecent(f *fixture) {
	s := f.logins(3)
	f.mustRefresh(s[0], f.policy)
	f.Advance(time.Second)
	out, err := f.create(f.owner, session.Long, f.withMaximum(3, true))
	f.noError(err, "Create")
	f.wantIDs("Evicted", tombstoneIDs(out.Revoked), s[1].ID)
}

// createNotUpdatedIsOldest checks that a refresh leaves the eviction order as it is
// without UpdateLastLogin.
func createNotUpdatedIsOldest(f *fixture) {
	s, p := f.logins(3), f.withMaximum(3, true)
	p.UpdateLastLogin = false
	f.mustRefresh(s[0], p)
	f.Advance(time.Second)
	out, err := f.create(f.owner, session.Long, p)
	f.noError(err, "Create")
	f.wantIDs("Evicted", tombstoneIDs(out.Revoked), s[0].ID)
}

// loginWithID creates a session whose ID begins with the given character.
func (f *fixture) loginWithID(first string) session.Session {
	f.Helper()
	out, err := f.Store.Create(f.ctx, session.CreateStep{
		Owner: f.owner, Policy: f.policy,
		Session: session.Session{ID: session.ID(first) + session.NewID()[1:], Type: session.Long},
	})
	f.noError(err, "Create")
	return out.Session
}

// createTieByCreated checks the eviction order of sessions with equal Updated, which
// they have if the clock stands still. The sessions created earlier have higher IDs.
func createTieByCreated(f *fixture) {
	var s []session.Session
	for _, c := range []string{"z", "y", "x", "w"} {
		s = append(s, f.loginWithID(c))
		f.Advance(time.Second)
	}
	for _, i := range []int{3, 1, 0, 2} {
		f.mustRefresh(s[i], f.policy)
	}
	f.wantEvicted("z", "y")
}

// createTieByID checks the eviction order of sessions with equal Updated and Created,
// which they have if the clock stands still. IDs are ordered by their bytes.
func createTieByID(f *fixture) {
	for _, c := range []string{"b", "_", "Z", "a", "0", "-", "A", "9", "z"} {
		f.loginWithID(c)
	}
	f.wantEvicted("-", "0", "9", "A", "Z", "_")
}

// createMicroseconds checks the eviction order of sessions created one microsecond
// apart. The sessions created earlier have higher IDs.
func createMicroseconds(f *fixture) {
	for _, c := range []string{"z", "m", "a"} {
		f.loginWithID(c)
		f.Advance(time.Microsecond)
	}
	f.wantEvicted("z")
}

// wantEvicted creates one more session, at a maximum for which len(first) sessions must
// be evicted, and checks that their IDs begin with first. With a running clock no two
// sessions have equal times: then it checks only the order of [session.ByUpdated].
func (f *fixture) wantEvicted(first ...string) {
	f.Helper()
	s := f.mustList(f.owner)
	slices.SortFunc(s, session.ByUpdated)
	out, err := f.create(f.owner, session.Long, f.withMaximum(len(s)-len(first)+1, true))
	f.noError(err, "Create")
	f.wantIDSet("Evicted", tombstoneIDs(out.Revoked), ids(s[:len(first)])...)
	for _, t := range out.Revoked {
		if f.Clock != nil && !slices.Contains(first, string(t.ID[:1])) {
			f.Errorf("evicted %s, want only IDs that begin with one of %v", t.ID, first)
		}
	}
}

// createKeepsMaximum checks that repeated logins evict one session each.
func createKeepsMaximum(f *fixture) {
	const limit = 5
	var all []session.ID
	for i := range 3 * limit {
		out, err := f.create(f.owner, session.Long, f.withMaximum(limit, true))
		f.noError(err, "Create")
		all = append(all, out.Session.ID)
		f.wantList(all[max(0, i+1-limit):]...)
		f.Advance(time.Millisecond)
	}
}

// createAfterClockStepsBack checks that logins evict the sessions that were created first, also
// if the clock stepped back between them, and that a refresh does not move Updated back.
func createAfterClockStepsBack(f *fixture) {
	p := f.withMaximum(3, true)
	var all []session.ID
	login := func() session.Session {
		out, err := f.create(f.owner, session.Long, p)
		f.noError(err, "Create")
		all = append(all, out.Session.ID)
		f.wantIDSet("List", ids(f.mustList(f.owner)), all[max(0, len(all)-3):]...)
		return out.Session
	}
	login()
	login()
	f.Advance(-time.Minute)
	login() // below the maximum
	login()
	last := login()
	f.Advance(-time.Minute)
	if next := f.mustRefresh(last, p); !next.Updated.After(last.Updated) {
		f.Errorf("a refresh moved Updated from %s to %s", formatTime(last.Updated), formatTime(next.Updated))
	}
	login()
	f.Advance(time.Hour / 2)
	login()
}

// wantIDSet compares IDs regardless of their order.
func (f *fixture) wantIDSet(what string, got []session.ID, want ...session.ID) {
	f.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	f.wantIDs(what, got, want...)
}

// wantTombstones checks that an owner has exactly these tombstones, with times to the
// millisecond.
func (f *fixture) wantTombstones(o session.Owner, want ...session.Tombstone) {
	f.Helper()
	got := f.mustTombstones(o)
	if len(got) != len(want) {
		f.Fatalf("Tombstones: got %v, want %v", got, want)
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(t session.Tombstone) bool { return t.ID == w.ID })
		if i < 0 || got[i].Cause != w.Cause || got[i].By != w.By || timeDiff(got[i].At, w.At) >= time.Millisecond {
			f.Fatalf("Tombstones: got %v, want %v", got, want)
		}
	}
}

// mustTombstones returns an owner's tombstones and checks that the latest come first.
func (f *fixture) mustTombstones(o session.Owner) []session.Tombstone {
	f.Helper()
	got, err := f.Store.Tombstones(f.ctx, o)
	f.noError(err, "Tombstones")
	if !slices.IsSortedFunc(got, func(a, b session.Tombstone) int { return b.At.Compare(a.At) }) {
		f.Fatalf("Tombstones: got %v, want the latest first", got)
	}
	return got
}
