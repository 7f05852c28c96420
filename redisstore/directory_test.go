package redisstore_test

import (
	"fmt"
	"slices"
	"strings"
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
	return s.Put(ctx, "shop", a, was)
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

// TestNamesAreClaimed: a name is reserved while its user is being written, and
// what a writer that died left behind repairs itself.
func TestNamesAreClaimed(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	ann, bob := account(1, "ann"), account(2, "ann")
	put(t, s, ann)
	key := nameKey(t, srv, "ann")
	if got := life(t, srv, key); got >= 0 {
		t.Errorf("a confirmed name lives for %s", got)
	}

	srv.Do("SET", key, "7", "PX", "60000") // somebody else is in the middle of Put
	for _, a := range []session.Account{ann, bob} {
		if err := replace(s, a); session.CodeOf(err) != session.UserExists {
			t.Errorf("user %s takes a claimed name: %v", a.ID, err)
		}
	}
	srv.Do("PEXPIRE", key, "1") // died before the user was written: the claim lapses
	soon(t, "the claim has lapsed", func() bool { return replace(s, ann) == nil })
	if got, err := s.Find(ctx, "shop", "ann"); err != nil || got.ID != ann.ID {
		t.Errorf("found %+v, %v", got, err)
	}

	put(t, s, account(1, "anna"))
	srv.Do("SET", key, "1") // died before the former name was released
	if _, err := s.Find(ctx, "shop", "ann"); session.CodeOf(err) != session.UserUnknown {
		t.Errorf("a former name finds its user: %v", err)
	}
	put(t, s, bob)
	if got, err := s.Find(ctx, "shop", "ann"); err != nil || got.ID != bob.ID {
		t.Errorf("found %+v, %v", got, err)
	}
	if err := s.Remove(ctx, "shop", bob.ID); err != nil {
		t.Fatal(err)
	}
	srv.Do("SET", key, "2") // died in the middle of Remove
	put(t, s, account(3, "ann"))
	for _, id := range []int64{1, 3} {
		if err := s.Remove(ctx, "shop", session.NumberID(id)); err != nil {
			t.Error(err)
		}
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
	if err := s.Remove(ctx, "shop", disabled.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(ctx, asking); session.CodeOf(err) != session.UserUnknown {
		t.Errorf("got %v", err)
	}
}
