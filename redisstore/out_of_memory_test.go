package redisstore_test

import (
	"maps"
	"strings"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestOutOfMemory checks that, while memory is full, steps that need more of it fail and
// change nothing, and that sessions can be read and revoked.
func TestOutOfMemory(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := policy
	p.Max, p.ExtendEveryTime = 2, true
	current := refresh(t, s, alice, login(t, s, alice, p).Session, p)
	other := login(t, s, alice, p).Session
	eve := session.Owner{App: "shop", User: "eve"}
	spent := login(t, s, eve, p).Session
	before := dump(srv)
	srv.Do("CONFIG", "SET", "maxmemory", "1")

	_, err := s.Create(ctx, createStep(alice, p)) // would evict
	wantUnavailable(t, map[string]error{"Create": err})
	_, err = s.Refresh(ctx, refreshStep(alice, current, p))
	wantUnavailable(t, map[string]error{"Refresh": err})
	if after := dump(srv); !maps.Equal(after, before) {
		t.Errorf("a failed step changed %q to %q", before, after)
	}
	listed, err := s.List(ctx, session.ListStep{Owner: alice, Caller: current.ID, Types: session.Types})
	if err != nil || len(listed.Sessions) != 2 {
		t.Errorf("List: got %v, %v; want 2 sessions", listed, err)
	}
	retry := current
	retry.Generation--
	if _, err = s.Refresh(ctx, refreshStep(alice, retry, p)); err != nil {
		t.Errorf("a retried refresh, which needs no memory: %v", err)
	}
	revoke(t, s, other.ID)
	tombstones, err := s.Tombstones(ctx, alice)
	if err != nil || len(tombstones) != 1 || tombstones[0].ID != other.ID {
		t.Errorf("Tombstones: got %v, %v; want one of %s", tombstones, err, other.ID)
	}
	others, err := s.RevokeOthers(ctx, session.RevokeOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseOperator})
	if err != nil || len(others.Revoked) != 1 {
		t.Errorf("RevokeOthers: got %v, %v; want 1 session", others, err)
	}
	if _, err := s.RevokeApp(ctx, "other"); err != nil {
		t.Errorf("RevokeApp: %v", err)
	}
	p.RetryWindow = 0
	replay := session.RefreshStep{Owner: eve, ID: spent.ID, Type: spent.Type, Policy: p, Presented: session.Presented{Secret: spent.Secret}}
	if _, err := s.Refresh(ctx, replay); session.CodeOf(err) != session.Replayed {
		t.Errorf("a replay: got %v, want %s", err, session.Replayed)
	}
	srv.Do("CONFIG", "SET", "maxmemory", "0")
	login(t, s, alice, p)
}

// TestManyAreRevokedWhenMemoryIsFull checks that many sessions can be revoked while memory is
// full, and that the kept one is not lost.
func TestManyAreRevokedWhenMemoryIsFull(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?auto_pipeline=true")
	p := policy
	p.Limit = false
	keep := loginAs(t, s, alice, session.Long, p)
	loginMany(t, s, p, 600)
	srv.Do("CONFIG", "SET", "maxmemory", "1")
	result, err := s.RevokeOthers(ctx, session.RevokeOthersStep{
		Owner: alice, Keep: keep.ID, KeepToken: refreshStep(alice, keep, p).Presented, KeepPolicy: p, Types: session.Types, Cause: session.CauseOthers,
	})
	if err != nil || result.Count() != 600 {
		t.Errorf("RevokeOthers: got %d sessions, %v; want 600", result.Count(), err)
	}
	if listed := list(t, s); len(listed) != 1 || listed[0].ID != keep.ID {
		t.Errorf("got list %v, want %s", listed, keep.ID)
	}
}

// TestAccountsWhenMemoryIsFull checks that, while memory is full, accounts can be
// disabled, changed and removed. New and renamed accounts need a reservation, which
// takes memory, so they fail and change nothing.
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
		if got, err := s.Directory().FindAccount(ctx, "shop", "ann"); err != nil || ann.CheckUnchanged(got) != nil {
			t.Errorf("FindAccount: got %+v, %v; want %+v", got, err, ann)
		}
	}
	before := dump(srv)
	wantUnavailable(t, map[string]error{"new account": replace(s, account(43, "bob")), "renamed account": replace(s, account(42, "anna"))})
	if after := dump(srv); !maps.Equal(after, before) {
		t.Errorf("a failed PutAccount changed %q to %q", before, after)
	}
	if id, err := s.Directory().NextID(ctx, "shop", 41); err != nil || id != 42 { // needed before some removals
		t.Errorf("NextID: got %d, %v; want 42", id, err)
	}
	if _, err := s.Directory().RemoveAccount(ctx, "shop", ann.ID); err != nil {
		t.Error(err)
	}
	if left := keys(srv); len(left) != 1 || !strings.HasSuffix(left[0], "}:last_id") {
		t.Errorf("keys left after RemoveAccount: %q, want that of NextID", left)
	}
}
