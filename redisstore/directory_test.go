package redisstore_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

func account(id int64, name string) session.Account {
	return session.Account{ID: session.NumberID(id), Username: name, Password: "$argon2id$…", Active: true}
}

func put(t *testing.T, s *redisstore.Store, a session.Account) {
	t.Helper()
	if err := replace(s, a); err != nil {
		t.Fatal(err)
	}
}

// replace puts a user in the place of whoever has the ID.
func replace(s *redisstore.Store, a session.Account) error {
	was, err := s.Account(ctx, "shop", a.ID)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return err
	}
	_, err = s.Put(ctx, "shop", a, was)
	return err
}

// nameKey is the key of a name, which some server has.
func nameKey(t *testing.T, srv *redistest.Server, name string) string {
	t.Helper()
	for _, k := range keys(srv) {
		if strings.HasSuffix(k, ":name:"+name) {
			return k
		}
	}
	t.Fatalf("no key for the name %s in %q", name, keys(srv))
	return ""
}

// TestNamesAreClaimed: what a Put that died left behind is in nobody's way, and
// finds nobody.
func TestNamesAreClaimed(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	ann, bob := account(1, "ann"), account(2, "ann")
	put(t, s, ann)
	key := nameKey(t, srv, "ann")
	if got := life(t, srv, key); got >= 0 {
		t.Errorf("a name lives for %s", got)
	}
	if err := replace(s, bob); session.CodeOf(err) != session.UserExists {
		t.Errorf("a name that somebody has: %v", err)
	}
	srv.Do("DEL", key) // lost by a failover
	put(t, s, ann)
	if got, err := s.Find(ctx, "shop", "ann"); err != nil || got.ID != ann.ID {
		t.Errorf("found %+v, %v", got, err)
	}

	put(t, s, account(1, "anna"))
	for _, left := range []string{"1|of a rename", "7|of a new user", "1"} { // the last as it was before claims had numbers
		srv.Do("SET", key, left)
		if _, err := s.Find(ctx, "shop", "ann"); session.CodeOf(err) != session.UserUnknown {
			t.Errorf("the claim %q finds a user: %v", left, err)
		}
		put(t, s, bob)
		if got, err := s.Find(ctx, "shop", "ann"); err != nil || got.ID != bob.ID {
			t.Errorf("after the claim %q: found %+v, %v", left, got, err)
		}
		if _, err := s.Remove(ctx, "shop", bob.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Remove(ctx, "shop", ann.ID); err != nil {
		t.Error(err)
	}
	for _, left := range keys(srv) {
		if !strings.Contains(left, ":permit:") || life(t, srv, left) < 0 || life(t, srv, left) > time.Minute {
			t.Errorf("left: %q", left)
		}
	}
}

// change is a Put or Remove and what happens right behind one of its scripts.
type change struct {
	before    []session.Account // user 1, one after the other
	left      []string          // what a step that got lost has left at x
	script    string
	do        func(ctx context.Context, s *redisstore.Store) (session.Durability, error)
	want      session.Code
	meanwhile func(s *redisstore.Store, cancel func()) error
}

var (
	nobody       = session.Account{}
	one, renamed = account(1, "x"), account(1, "y")
	two          = account(2, "x")
)

// giving puts a in the place of was.
func giving(a, was session.Account) func(context.Context, *redisstore.Store) (session.Durability, error) {
	return func(ctx context.Context, s *redisstore.Store) (session.Durability, error) {
		return s.Put(ctx, "shop", a, was)
	}
}

func meanwhile(a, was session.Account) func(*redisstore.Store, func()) error {
	return func(s *redisstore.Store, _ func()) error {
		_, err := s.Put(ctx, "shop", a, was)
		return err
	}
}

// TestNamesChangeHands: user 1 has the name x, and nobody else can have it, after
// each of these.
func TestNamesChangeHands(t *testing.T) {
	removing := func(ctx context.Context, s *redisstore.Store) (session.Durability, error) {
		return s.Remove(ctx, "shop", one.ID)
	}
	for name, c := range map[string]change{
		"the caller dies behind put": {
			script: "put", do: giving(one, nobody), meanwhile: func(_ *redisstore.Store, cancel func()) error { cancel(); return nil }},
		"what he finds of his own was about to lapse": {
			left: []string{"1", "PX", "50"}, script: "claim", do: giving(one, nobody),
			meanwhile: func(*redisstore.Store, func()) error { time.Sleep(60 * time.Millisecond); return nil }},
		"he takes a name back that another finds free": {
			before: []session.Account{one, renamed}, left: []string{"1|former"}, script: "confirm", do: giving(two, nobody),
			want: session.UserExists, meanwhile: meanwhile(one, renamed)},
		"he takes a name back that he gives up": {
			before: []session.Account{one}, script: "put", do: giving(renamed, one), meanwhile: meanwhile(one, renamed)},
		"he is removed and comes again": {
			before: []session.Account{one}, script: "remove", do: removing, meanwhile: meanwhile(one, nobody)},
	} {
		t.Run(name, func(t *testing.T) { c.run(t, redistest.Standalone(t)) })
	}
}

func (c change) run(t *testing.T, srv *redistest.Server) {
	s := open(t, srv.URL)
	put(t, s, one)
	key := nameKey(t, srv, "x")
	if _, err := s.Remove(ctx, "shop", one.ID); err != nil {
		t.Fatal(err)
	}
	for _, a := range c.before {
		put(t, s, a)
	}
	if c.left != nil {
		srv.Do(append([]string{"SET", key}, c.left...)...)
	}
	mortal, cancel := context.WithCancel(ctx)
	defer cancel()
	var once sync.Once
	watched := open(t, srv.URL, func(o *redisstore.Options) {
		o.Observe = func(script string, _ session.Code, _ time.Duration) {
			if script != c.script {
				return
			}
			once.Do(func() {
				if err := c.meanwhile(s, cancel); err != nil {
					t.Errorf("meanwhile: %v", err)
				}
			})
		}
	})
	if _, err := c.do(mortal, watched); session.CodeOf(err) != cmp.Or(c.want, session.OK) {
		t.Errorf("got %v, want %s", err, c.want)
	}
	if got := life(t, srv, key); got >= 0 {
		t.Errorf("the name lives for %s", got)
	}
	if err := replace(s, two); session.CodeOf(err) != session.UserExists {
		t.Errorf("another takes the name: %v", err)
	}
	if got, err := s.Find(ctx, "shop", "x"); err != nil || got.ID != one.ID {
		t.Errorf("found %+v, %v", got, err)
	}
}

// TestAccountsWhenMemoryIsFull: then, too, a user can be kept out. Nobody new
// comes in, and nobody is renamed, which takes a claim.
func TestAccountsWhenMemoryIsFull(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	ann := account(42, "ann")
	put(t, s, ann)
	srv.Do("CONFIG", "SET", "maxmemory", "1")
	for _, change := range []func(a *session.Account){
		func(a *session.Account) { a.Active = false },
		func(a *session.Account) { a.Password = "another" },
		func(a *session.Account) { a.Claims = []byte(`{"role":"` + strings.Repeat("x", 200) + `"}`) },
	} {
		change(&ann)
		put(t, s, ann)
		if got, err := s.Find(ctx, "shop", "ann"); err != nil || ann.Still(got) != nil {
			t.Errorf("found %+v, %v; want %+v", got, err, ann)
		}
	}
	before := contents(srv)
	wantUnavailable(t, map[string]error{"a new user": replace(s, account(43, "bob")), "another name": replace(s, account(42, "anna"))})
	if after := contents(srv); !maps.Equal(after, before) {
		t.Errorf("what failed changed %q into %q", before, after)
	}
	if _, err := s.Remove(ctx, "shop", ann.ID); err != nil {
		t.Error(err)
	}
	if left := keys(srv); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestDirectoryInACluster has users, names and indexes in many slots.
func TestDirectoryInACluster(t *testing.T) {
	s := open(t, redistest.Cluster(t, 3).URL)
	const n = 1500 // more than one pipeline asks for
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- replace(s, account(int64(i), fmt.Sprintf("user%04d", i))) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Accounts(ctx, "shop")
	if err != nil || len(all) != n || !slices.IsSortedFunc(all, func(a, b session.Account) int { return strings.Compare(a.Username, b.Username) }) {
		t.Errorf("%d accounts: %v", len(all), err)
	}
	if got, err := s.Find(ctx, "shop", "user0042"); err != nil || got.ID.String() != "42" {
		t.Errorf("found %+v, %v", got, err)
	}
	if others, err := s.Accounts(ctx, "other"); err != nil || len(others) != 0 {
		t.Errorf("another app has %d accounts: %v", len(others), err)
	}
}

// TestUserKeyIsInTheOwnersSlot: a step asks the directory within itself.
func TestUserKeyIsInTheOwnersSlot(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	put(t, s, account(42, "ann"))
	step := createStep(alice, long)
	step.Hash = account(42, "ann").Password
	created, err := s.Create(ctx, step)
	if err != nil {
		t.Fatal(err)
	}
	asking := refreshStep(alice, created.Session, long)
	asking.CheckUser = true
	got := counts(t, srv, func() {
		if _, err := s.Refresh(ctx, asking); err != nil {
			t.Fatal(err)
		}
	})
	if got["evalsha"]+got["eval"] > 2 || got["hget"] != 2 { // the user, the record
		t.Errorf("a refresh that asks the directory runs %v", got)
	}
	disabled := account(42, "ann")
	disabled.Active = false
	put(t, s, disabled)
	if _, err := s.Refresh(ctx, asking); session.CodeOf(err) != session.UserInactive {
		t.Errorf("got %v", err)
	}
	time.Sleep(time.Millisecond)
	if _, err := s.Remove(ctx, "shop", disabled.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(ctx, asking); session.CodeOf(err) != session.UserUnknown {
		t.Errorf("got %v", err)
	}
}
