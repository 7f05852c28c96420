package storetest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"tokengate/session"
)

var listTests = map[string]func(*fixture){
	"empty":                   listEmpty,
	"oldest first":            listOrder,
	"a microsecond apart":     listMicroseconds,
	"created together by ID":  listTiesByID,
	"types":                   listTypes,
	"info":                    listInfo,
	"the caller must be live": listCaller,
	"changes nothing":         listChangesNothing,
	"thousands of sessions":   listMany,
}

func listEmpty(f *fixture) {
	f.loginAs(f.otherUser("2"), session.Long)
	f.wantList()
}

// listOrder checks that the order is by Created, and that refreshes do not change it.
func listOrder(f *fixture) {
	s := f.logins(4)
	for _, i := range []int{2, 0, 3} {
		f.mustRefresh(s[i], f.policy)
		f.tick()
	}
	f.wantList(ids(s)...)
}

// listMicroseconds checks the order of sessions created one microsecond apart. The sessions
// created earlier have higher IDs.
func listMicroseconds(f *fixture) {
	var want []session.ID
	for _, c := range []string{"z", "m", "a"} {
		want = append(want, f.loginWithID(c).ID)
		f.Advance(time.Microsecond)
	}
	f.wantList(want...)
}

// listTiesByID checks the order of sessions with equal Created and Updated, which they have
// if the clock stands still.
func listTiesByID(f *fixture) {
	for range 12 {
		f.login()
		f.loginAs(f.owner, session.Short)
	}
	got := f.mustList(f.owner)
	if len(got) != 24 {
		f.Fatalf("got %d sessions, want 24", len(got))
	}
	if !slices.IsSortedFunc(got, func(a, b session.Session) int {
		return cmp.Or(a.Created.Compare(b.Created), a.Updated.Compare(b.Updated), strings.Compare(string(a.ID), string(b.ID)))
	}) {
		f.Errorf("got %v, want them by Created, then by Updated and ID", ids(got))
	}
}

func listTypes(f *fixture) {
	long := f.login()
	f.tick()
	short := f.loginAs(f.owner, session.Short)
	f.wantIDs("LONG", ids(f.mustList(f.owner, session.Long)), long.ID)
	f.wantIDs("SHORT", ids(f.mustList(f.owner, session.Short)), short.ID)
	f.wantIDs("both", ids(f.mustList(f.owner, session.Short, session.Long)), long.ID, short.ID)
	for _, s := range f.mustList(f.owner) {
		if (s.ID == long.ID) != (s.Type == session.Long) {
			f.Errorf("session %s has type %s", s.ID, s.Type)
		}
	}
}

// listInfo checks that Info is listed byte for byte, also after refreshes.
func listInfo(f *fixture) {
	infos := []string{
		"", "i", "Mozilla/5.0 (X11; Linux x86_64)", "Zoës Gerät 📱 \u202e", "a|b:c{d}e%f\"g'h\\i",
		"line\nline\r\n\ttab\x00nul", strings.Repeat("é", session.MaxInfo/2), strings.Repeat("x", session.MaxInfo),
	}
	want := map[session.ID]string{}
	for _, info := range infos {
		in := session.Session{ID: session.NewID(), Type: session.Long, Info: info}
		_, err := f.Store.Create(f.ctx, session.CreateStep{Owner: f.owner, Session: in, Policy: f.policy})
		f.noError(err, "Create")
		want[in.ID] = info
	}
	for _, s := range f.mustList(f.owner) {
		f.mustRefresh(s, f.policy)
	}
	got := f.mustList(f.owner)
	if len(got) != len(infos) {
		f.Fatalf("got %d sessions, want %d", len(got), len(infos))
	}
	for _, s := range got {
		if s.Info != want[s.ID] {
			f.Errorf("got info %.40q, want %.40q", s.Info, want[s.ID])
		}
	}
}

// listCaller checks that a caller may be a session of any type, and that List fails with
// TokenRevoked if the caller is revoked, unknown, or another owner's.
func listCaller(f *fixture) {
	s := f.logins(3)
	short := f.loginAs(f.owner, session.Short)
	foreign := f.loginAs(f.otherUser("2"), session.Long)
	_, err := f.revoke(s[1].ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	list := func(caller session.ID, types ...session.Type) error {
		_, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Caller: caller, Types: types})
		return err
	}
	f.noError(list(s[0].ID, session.Long), "List by a session of the type")
	f.noError(list(s[0].ID, session.Short), "List by a session of the other type")
	f.noError(list(short.ID, session.Long), "List by a session of the other type")
	f.wantError(list(s[1].ID, session.Types...), session.TokenRevoked, session.CauseUser)
	f.wantError(list(foreign.ID, session.Types...), session.TokenRevoked, "")
	f.wantError(list(session.NewID(), session.Short), session.TokenRevoked, "")
}

func listChangesNothing(f *fixture) {
	f.logins(3)
	before := f.mustList(f.owner)
	for range 3 {
		f.tick()
		for i, s := range f.mustList(f.owner) {
			f.wantSession("List", s, before[i])
		}
	}
}

// listMany lists and evicts more sessions than a store can pass to one command.
func listMany(f *fixture) {
	const n = 3000
	for range n {
		f.login()
	}
	f.Advance(time.Second)
	keep := f.login()
	if got := len(f.mustList(f.owner)); got != n+1 {
		f.Fatalf("got %d sessions, want %d", got, n+1)
	}
	out, err := f.create(f.owner, session.Long, f.withMaximum(2, true))
	f.noError(err, "Create")
	if len(out.Revoked) != n {
		f.Errorf("evicted %d sessions, want %d", len(out.Revoked), n)
	}
	f.wantIDSet("List", ids(f.mustList(f.owner)), keep.ID, out.Session.ID)
}
