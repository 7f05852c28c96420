package storetest

import (
	"slices"
	"strings"
	"time"

	"tokengate/session"
)

var listTests = map[string]func(*fixture){
	"Empty":          listEmpty,
	"OldestFirst":    listOrder,
	"TiesByID":       listTies,
	"Types":          listTypes,
	"Info":           listInfo,
	"Caller":         listCaller,
	"ChangesNothing": listChangesNothing,
	"Many":           listMany,
}

func listEmpty(f *fixture) {
	f.loginAs(f.user("2"), session.Long)
	f.wantIDs("List", ids(f.listed(f.owner)))
}

// listOrder: by Created, whatever was refreshed since.
func listOrder(f *fixture) {
	s := f.logins(4)
	for _, i := range []int{2, 0, 3} {
		f.refresh(s[i], f.policy)
		f.later()
	}
	f.wantIDs("List", ids(f.listed(f.owner)), ids(s)...)
}

func listTies(f *fixture) {
	for range 12 {
		f.login()
		f.loginAs(f.owner, session.Short)
	}
	got := f.listed(f.owner)
	if len(got) != 24 {
		f.Fatalf("%d sessions, want 24", len(got))
	}
	if !slices.IsSortedFunc(got, func(a, b session.Session) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	}) {
		f.Errorf("not by Created, then ID: %v", ids(got))
	}
}

func listTypes(f *fixture) {
	long := f.login()
	f.later()
	short := f.loginAs(f.owner, session.Short)
	f.wantIDs("LONG", ids(f.listed(f.owner, session.Long)), long.ID)
	f.wantIDs("SHORT", ids(f.listed(f.owner, session.Short)), short.ID)
	f.wantIDs("both", ids(f.listed(f.owner, session.Short, session.Long)), long.ID, short.ID)
	for _, s := range f.listed(f.owner) {
		if (s.ID == long.ID) != (s.Type == session.Long) {
			f.Errorf("%s is %s", s.ID, s.Type)
		}
	}
}

func listInfo(f *fixture) {
	infos := []string{
		"", "i", "Mozilla/5.0 (X11; Linux x86_64)", "Zoës Gerät 📱 \u202e", "a|b:c{d}e%f\"g'h\\i",
		"line\nline\r\n\ttab\x00nul", strings.Repeat("é", session.MaxInfo/2), strings.Repeat("x", session.MaxInfo),
	}
	want := map[session.ID]string{}
	for _, info := range infos {
		in := session.Session{ID: session.NewID(), Type: session.Long, Info: info}
		_, err := f.Store.Create(f.ctx, session.CreateStep{Owner: f.owner, Session: in, Policy: f.policy})
		f.ok(err, "Create")
		want[in.ID] = info
	}
	for _, s := range f.listed(f.owner) {
		f.refresh(s, f.policy)
	}
	got := f.listed(f.owner)
	if len(got) != len(infos) {
		f.Fatalf("%d sessions, want %d", len(got), len(infos))
	}
	for _, s := range got {
		if s.Info != want[s.ID] {
			f.Errorf("info %.40q, want %.40q", s.Info, want[s.ID])
		}
	}
}

func listCaller(f *fixture) {
	s := f.logins(3)
	short := f.loginAs(f.owner, session.Short)
	foreign := f.loginAs(f.user("2"), session.Long)
	_, err := f.end(s[1].ID, session.CauseUser, "")
	f.ok(err, "End")
	list := func(caller session.ID, types ...session.Type) error {
		_, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Caller: caller, Types: types})
		return err
	}
	f.ok(list(s[0].ID, session.Long), "List by a session of the type")
	f.ok(list(s[0].ID, session.Short), "List by a session of the other type")
	f.ok(list(short.ID, session.Long), "List by a session of the other type")
	f.fails(list(s[1].ID, session.Types...), session.TokenRevoked, session.CauseUser)
	f.fails(list(foreign.ID, session.Types...), session.TokenRevoked, "")
	f.fails(list(session.NewID(), session.Short), session.TokenRevoked, "")
}

func listChangesNothing(f *fixture) {
	f.logins(3)
	before := f.listed(f.owner)
	for range 3 {
		f.later()
		for i, s := range f.listed(f.owner) {
			f.same("List", s, before[i])
		}
	}
}

// listMany is far beyond what one command of a store takes at once.
func listMany(f *fixture) {
	const n = 3000
	for range n {
		f.login()
	}
	f.Advance(time.Second)
	keep := f.login()
	if got := len(f.listed(f.owner)); got != n+1 {
		f.Fatalf("%d sessions, want %d", got, n+1)
	}
	out, err := f.create(f.owner, session.Long, f.capped(2, true))
	f.ok(err, "Create")
	if len(out.Evicted) != n {
		f.Errorf("evicted %d, want %d", len(out.Evicted), n)
	}
	f.wantSet("List", ids(f.listed(f.owner)), keep.ID, out.Session.ID)
}
