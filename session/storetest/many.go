package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"tokengate/session"
)

// manyTests test steps on a user with so many sessions that a store may answer otherwise than
// about a few.
var manyTests = map[string]func(*fixture){
	"RevokeOthers keeps one session":               manyKeep,
	"RevokeOthers keeps a session of another type": manyKeepOtherType,
	"RevokeOthers without Keep":                    manyAll,
	"RevokeOthers of an invalid Keep or caller":    manyRefused,
	"RevokeOthers after most have expired":         manyExpired,
	"the feed reports RevokeOthers":                manyFeed,
	"List shows each session once":                 manyList,
	"List while sessions change":                   manyListRace,
	"Tombstones after RevokeApp":                   manyRevokedByApp,
}

// many is how many sessions are many: more than a store need name in one answer.
const many = 600

// loginMany creates many sessions of the fixture's owner.
func (f *fixture) loginMany(t session.Type) []session.Session {
	f.Helper()
	all := make([]session.Session, many)
	for i := range all {
		all[i] = f.loginAs(f.owner, t)
	}
	return all
}

// wantMany checks the result of RevokeOthers, which has revoked exactly these sessions and
// kept one or none.
func (f *fixture) wantMany(r session.RevokeResult, keep session.ID, cause session.Cause, by string, revoked []session.Session) {
	f.Helper()
	if r.Count() != len(revoked) {
		f.Fatalf("revoked %d sessions, want %d", r.Count(), len(revoked))
	}
	if r.Many == nil {
		f.wantRevoked(r, cause, by, ids(revoked)...)
		return
	}
	m := r.Many
	if m.Owner != f.owner || m.ID != "" || m.Keep != keep || m.Cause != cause || m.By != by || timeDiff(m.At, r.Now) >= time.Millisecond || len(r.Revoked) > 0 {
		f.Errorf("got %+v and %d named sessions, want the revocation of all but %q of %s by %q at %s", *m, len(r.Revoked), keep, f.owner, by, r.Now)
	}
}

// wantManyRevoked checks that sessions were revoked by a step that need not keep the cause of
// all: some have a tombstone.
func (f *fixture) wantManyRevoked(cause session.Cause, by string, revoked []session.Session) {
	f.Helper()
	known := 0
	for _, s := range revoked {
		switch _, err := f.refresh(s, token(s), f.policy); session.CodeOf(err) {
		case session.Unknown:
		default:
			f.wantError(err, session.Revoked, cause)
			known++
		}
	}
	tombstones := f.mustTombstones(f.owner)
	if known != len(tombstones) || known != maxTombstones {
		f.Errorf("the cause of %d sessions is known, and there are %d tombstones, want %d", known, len(tombstones), maxTombstones)
	}
	for _, t := range tombstones {
		if t.Cause != cause || t.By != by || !slices.Contains(ids(revoked), t.ID) {
			f.Errorf("got tombstone %+v, want one of the revoked sessions with cause %s by %q", t, cause, by)
		}
	}
}

// manyKeep checks that the kept session stays as it is, with everything that is stored of it.
func manyKeep(f *fixture) {
	others := append(f.loginMany(session.Long), f.loginAs(f.owner, session.Short))
	in := session.Session{
		ID: session.NewID(), Type: session.Long, Info: "kept", Claims: json.RawMessage(`{"role":"ädmin"}`),
		Secret: session.NewSecret(), Credential: session.Fingerprint{1, 2},
	}
	created, err := f.Store.Create(f.ctx, session.CreateStep{Owner: f.owner, Session: in, Policy: f.policy})
	f.noError(err, "Create")
	keep := f.mustRefresh(created.Session, f.policy)
	others = append(others, f.login())
	f.tick()
	before := f.mustList(f.owner, session.Long)
	result, err := f.revokeOthers(keep.ID, keep, keep.Generation)
	f.noError(err, "RevokeOthers")
	f.wantMany(result, keep.ID, session.CauseOthers, "", others)
	f.wantList(keep.ID)
	kept := f.mustList(f.owner)[0]
	i := slices.IndexFunc(before, func(s session.Session) bool { return s.ID == keep.ID })
	f.wantSession("the kept session", kept, before[i])
	if kept.Info != in.Info || string(kept.Claims) != string(in.Claims) {
		f.Errorf("the kept session has info %q and claims %s, want %q and %s", kept.Info, kept.Claims, in.Info, in.Claims)
	}
	f.wantManyRevoked(session.CauseOthers, "", others)
	next, err := f.refresh(keep, token(keep), f.policy)
	f.noError(err, "Refresh of the kept session")
	if string(next.Session.Claims) != string(in.Claims) {
		f.Errorf("a refresh of the kept session returned claims %s, want %s", next.Session.Claims, in.Claims)
	}
	result, err = f.revokeOthers(keep.ID, next.Session, next.Session.Generation)
	f.noError(err, "RevokeOthers again")
	f.wantMany(result, keep.ID, session.CauseOthers, "", nil)
}

// manyKeepOtherType checks that nothing of a type that was not requested changes.
func manyKeepOtherType(f *fixture) {
	short := f.loginMany(session.Short)
	other, keep := f.login(), f.login()
	step := f.revokeOthersStep(keep.ID, keep, 1)
	step.Types = []session.Type{session.Short}
	result, err := f.Store.RevokeOthers(f.ctx, step)
	f.noError(err, "RevokeOthers")
	f.wantMany(result, keep.ID, session.CauseOthers, "", short)
	f.wantIDSet("List", ids(f.mustList(f.owner)), other.ID, keep.ID)
	f.mustRefresh(other, f.policy)
	f.mustRefresh(keep, f.policy)
}

func manyAll(f *fixture) {
	all := append(f.loginMany(session.Long), f.loginMany(session.Short)...)
	result, err := f.Store.RevokeOthers(f.ctx, session.RevokeOthersStep{Owner: f.owner, Types: session.Types, Cause: session.CauseOperator, By: "ops|1"})
	f.noError(err, "RevokeOthers")
	f.wantMany(result, "", session.CauseOperator, "ops|1", all)
	f.wantList()
	f.wantManyRevoked(session.CauseOperator, "ops|1", all)
	f.login()
	f.wantManyRevoked(session.CauseOperator, "ops|1", all)
}

// manyRefused checks that a step that fails revokes nothing.
func manyRefused(f *fixture) {
	all := f.loginMany(session.Long)
	spent := all[0]
	all[0] = f.mustRefresh(f.mustRefresh(all[0], f.policy), f.policy)
	_, err := f.revokeOthers(all[1].ID, spent, 1)
	f.wantError(err, session.Unknown, "")
	_, err = f.revokeOthers(session.NewID(), all[0], all[0].Generation)
	f.wantError(err, session.TokenRevoked, "")
	if got := len(f.mustList(f.owner)); got != many {
		f.Errorf("got %d sessions, want %d", got, many)
	}
}

// manyExpired checks that sessions that have expired are neither counted nor reported.
func manyExpired(f *fixture) {
	p := f.policy
	p.Lifetime = 20 * time.Minute
	for range many {
		_, err := f.create(f.owner, session.Long, p)
		f.noError(err, "Create")
	}
	live := f.loginAs(f.owner, session.Short)
	f.Advance(30 * time.Minute)
	keep := f.loginAs(f.owner, session.Short)
	result, err := f.revokeOthers(keep.ID, keep, 1)
	f.noError(err, "RevokeOthers")
	f.wantMany(result, keep.ID, session.CauseOthers, "", []session.Session{live})
	f.wantIDs("Tombstones", tombstoneIDs(f.mustTombstones(f.owner)), live.ID)
	f.wantList(keep.ID)
}

// manyFeed checks that the feed reports the revocation of each session, by name or together,
// and not that of the kept one or of another user.
func manyFeed(f *fixture) {
	s := f.follow("shop")
	others, keep := f.loginMany(session.Long), f.login()
	f.loginAs(f.otherUser("2"), session.Long)
	_, err := f.revokeOthers(keep.ID, keep, 1)
	f.noError(err, "RevokeOthers")
	got := f.waitForRevocations(s)
	covers := func(s session.Session) func(session.Revocation) bool {
		return func(r session.Revocation) bool {
			return r.ID == s.ID || r.ID == "" && r.Keep != s.ID && !s.Created.After(r.At)
		}
	}
	for _, r := range got {
		if r.Owner != f.owner || r.Cause != session.CauseOthers {
			f.Errorf("reported %+v, want only revocations of %s with cause %s", r, f.owner, session.CauseOthers)
		}
	}
	for _, s := range others {
		if !slices.ContainsFunc(got, covers(s)) {
			f.Fatalf("the revocation of session %s was not reported: %v", s.ID, got)
		}
	}
	if slices.ContainsFunc(got, covers(keep)) {
		f.Errorf("the kept session %s was reported as revoked: %v", keep.ID, got)
	}
}

// manyList checks lists of several times as many sessions, which have few different
// expiries.
func manyList(f *fixture) {
	var want []session.ID
	for range 2 {
		want = append(want, append(ids(f.loginMany(session.Long)), ids(f.loginMany(session.Short))...)...)
		f.Advance(time.Second)
	}
	for _, types := range [][]session.Type{{session.Long, session.Short}, {session.Short, session.Long}, {session.Long}, {session.Short}} {
		got := f.mustList(f.owner, types...)
		if !slices.IsSortedFunc(got, session.ByCreated) {
			f.Errorf("the list of %s is not in the order of creation", types)
		}
		f.wantIDSet(fmt.Sprint("List of ", types), ids(got), f.ofTypes(want, got, types)...)
	}
}

// ofTypes returns the IDs in all of the sessions that were created with one of the types: each
// of the two types has the same number.
func (f *fixture) ofTypes(all []session.ID, got []session.Session, types []session.Type) []session.ID {
	f.Helper()
	if len(types) == len(session.Types) {
		return all
	}
	if len(got) != len(all)/2 || slices.ContainsFunc(got, func(s session.Session) bool { return s.Type != types[0] }) {
		f.Fatalf("got %d sessions of %s, want %d", len(got), types, len(all)/2)
	}
	return ids(got)
}

// manyListRace checks that a session is listed exactly once while others are created and
// revoked, and refreshes extend it.
func manyListRace(f *fixture) {
	stay := f.loginMany(session.Long)
	stay = append(stay, f.loginMany(session.Short)...)
	want := slices.Sorted(slices.Values(ids(stay)))
	p := f.policy
	p.Extend, p.ExtendEveryTime = true, true
	stop := make(chan struct{})
	var changes sync.WaitGroup
	changes.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			p.Lifetime += time.Second
			s := &stay[i*7%len(stay)]
			result, err := f.refresh(*s, token(*s), p)
			if err != nil {
				f.Errorf("Refresh: %v", err)
				return
			}
			*s = result.Session
			if _, err := f.revoke(f.login().ID, session.CauseUser, ""); err != nil {
				f.Errorf("Revoke: %v", err)
				return
			}
		}
	})
	for range 10 {
		got := slices.Sorted(slices.Values(ids(f.mustList(f.owner))))
		if unique := slices.Compact(slices.Clone(got)); len(unique) != len(got) {
			f.Errorf("%d of %d sessions are listed twice", len(got)-len(unique), len(got))
		}
		for _, id := range want {
			if _, found := slices.BinarySearch(got, id); !found {
				f.Errorf("session %s is not listed", id)
			}
		}
	}
	close(stop)
	changes.Wait()
}

// manyRevokedByApp checks that the tombstones of a user with many sessions are at most 32, and
// are of sessions that RevokeApp has revoked.
func manyRevokedByApp(f *fixture) {
	revoked := ids(f.loginMany(session.Long))
	_, err := f.Store.RevokeApp(f.ctx, f.owner.App)
	f.noError(err, "RevokeApp")
	f.Advance(time.Second)
	f.loginMany(session.Long)
	got := f.mustTombstones(f.owner)
	if len(got) > maxTombstones {
		f.Errorf("got %d tombstones, want at most %d", len(got), maxTombstones)
	}
	for _, t := range got {
		if t.Cause != session.CauseApp || !slices.Contains(revoked, t.ID) {
			f.Errorf("got tombstone %+v, want one of a session that was revoked with its app", t)
		}
	}
	if got := len(f.mustList(f.owner)); got != many {
		f.Errorf("got %d live sessions, want %d", got, many)
	}
}

// Unnamed returns the result of a RevokeOthers as of a [session.Store] that has revoked many
// sessions, and so does not name them. It is for tests with a store that names all.
func Unnamed(step session.RevokeOthersStep, r session.RevokeResult) session.RevokeResult {
	n := len(r.Revoked)
	if n == 0 {
		return r
	}
	t := session.Tombstone{Cause: step.Cause, By: step.By, At: r.Now}
	r.Revoked, r.Number, r.Many = nil, n, &session.Revocation{Owner: step.Owner, Tombstone: t, Keep: step.Keep}
	return r
}
