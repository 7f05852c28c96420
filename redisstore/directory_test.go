package redisstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestDirectoryInCluster checks a directory whose accounts, usernames and sets of IDs are
// in many slots.
func TestDirectoryInCluster(t *testing.T) {
	s := open(t, redistest.Cluster(t, 3).URL)
	const n = 1500 // more than Accounts reads in one round trip
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- replace(s, account(int64(i), fmt.Sprintf("user%04d", i))) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Directory().Accounts(ctx, "shop")
	if err != nil || len(all) != n || !slices.IsSortedFunc(all, func(a, b session.Account) int { return strings.Compare(a.Username, b.Username) }) {
		t.Errorf("Accounts: got %d accounts, %v; want %d in the order of their names", len(all), err, n)
	}
	if got, err := s.Directory().FindAccount(ctx, "shop", "user0042"); err != nil || got.ID.String() != "42" {
		t.Errorf("FindAccount: got %+v, %v; want user 42", got, err)
	}
	if others, err := s.Directory().Accounts(ctx, "other"); err != nil || len(others) != 0 {
		t.Errorf("Accounts of another app: got %d, %v; want none", len(others), err)
	}
}

// TestStepsCheckAccount checks that a step checks the account in its own script, without
// a further round trip.
func TestStepsCheckAccount(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	put(t, s, account(42, "ann"))
	create := createStep(alice, policy)
	create.CheckUser = true
	created, err := s.Create(ctx, create)
	if err != nil {
		t.Fatal(err)
	}
	checked := refreshStep(alice, created.Session, policy)
	checked.CheckUser = true
	got := countCommands(t, srv, func() {
		result, err := s.Refresh(ctx, checked)
		if err != nil {
			t.Fatal(err)
		}
		checked.Generation = result.Session.Generation
	})
	if got["evalsha"]+got["eval"] > 2 || got["hget"] != 1 || got["hmget"] != 1 { // record and account
		t.Errorf("a refresh that checks the account runs %v, want at most 2 scripts, 1 hget and 1 hmget", got)
	}
	disabled := account(42, "ann")
	disabled.Active = false
	put(t, s, disabled)
	if err := s.CheckToken(ctx, checked); session.CodeOf(err) != session.UserInactive {
		t.Errorf("token of a disabled user: got %v, want %s", err, session.UserInactive)
	}
	if _, err := s.Directory().RemoveAccount(ctx, "shop", disabled.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(ctx, checked); session.CodeOf(err) != session.UserUnknown || session.CauseOf(err) != session.CauseAccount {
		t.Errorf("refresh of a removed user: got %v, want %s", err, session.UserUnknown)
	}
}
