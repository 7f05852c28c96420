package redisstore_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// runSteps runs each step once, on a session that exists or did exist, and returns the
// error of each.
func runSteps(s *redisstore.Store, current session.Session) map[string]error {
	errs := map[string]error{}
	_, errs["Create"] = s.Create(ctx, createStep(alice, policy))
	_, errs["Refresh"] = s.Refresh(ctx, refreshStep(alice, current, policy))
	errs["CheckToken"] = s.CheckToken(ctx, refreshStep(alice, current, policy))
	_, errs["List"] = s.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
	_, errs["RevokeOthers"] = s.RevokeOthers(ctx, session.RevokeOthersStep{
		Owner: alice, Types: session.Types, Keep: current.ID, KeepPolicy: policy,
		KeepToken: session.Presented{Secret: current.Secret, Generation: current.Generation, Expires: current.Expires},
	})
	_, errs["Logout"] = s.Logout(ctx, logoutStep(current, policy))
	_, errs["Revoke"] = s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: current.ID})
	errs["Live"] = s.Live(ctx, session.LiveStep{Owner: alice, ID: current.ID})
	_, errs["Tombstones"] = s.Tombstones(ctx, alice)
	_, errs["RevokeApp"] = s.RevokeApp(ctx, alice.App)
	_, errs["FindAccount"] = s.Directory().FindAccount(ctx, alice.App, "ann")
	_, errs["Accounts"] = s.Directory().Accounts(ctx, alice.App)
	_, errs["PutAccount"] = s.Directory().PutAccount(ctx, alice.App, session.Account{ID: session.NumberID(1), Username: "ann"}, session.Account{})
	_, errs["Account"] = s.Directory().Account(ctx, alice.App, session.NumberID(1))
	_, errs["RemoveAccount"] = s.Directory().RemoveAccount(ctx, alice.App, session.NumberID(1))
	errs["Ready"] = s.Ready(ctx, alice)
	errs["Reserve"] = s.Limiter().Reserve(ctx, attempt)
	errs["Succeed"] = s.Limiter().Succeed(ctx, attempt)
	errs["Release"] = s.Limiter().Release(ctx, attempt)
	errs["Forget"] = s.Limiter().Forget(ctx, attempt.App, attempt.Account)
	_, errs["Refusals"] = s.Limiter().Refusals(ctx, attempt.App)
	errs["Ping"] = s.Ping(ctx)
	_, errs["Warnings"] = s.Warnings(ctx)
	return errs
}

// wantUnavailable checks that every step failed with Unavailable.
func wantUnavailable(t *testing.T, errs map[string]error) {
	t.Helper()
	for step, err := range errs {
		if session.CodeOf(err) != session.Unavailable {
			t.Errorf("%s: got %v, want %s", step, err, session.Unavailable)
		}
		if _, ok := errors.AsType[*session.Error](err); err != nil && !ok {
			t.Errorf("%s: got a %T, want a *session.Error", step, err)
		}
	}
}

func TestServerIsDown(t *testing.T) {
	srv := redistest.Standalone(t)
	s, pipelined := open(t, srv.URL+"?auto_pipeline=false"), open(t, srv.URL)
	current := login(t, s, alice, policy).Session
	login(t, pipelined, alice, policy)
	srv.Kill()
	for name, s := range map[string]*redisstore.Store{"plain": s, "pipelined": pipelined} {
		start := time.Now()
		wantUnavailable(t, runSteps(s, current))
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: the steps took %s to fail, want at most 3s", name, took)
		}
	}
	srv.Restart() // without its data and scripts
	for _, s := range []*redisstore.Store{s, pipelined} {
		waitFor(t, "the store has reconnected", func() bool { return s.Ping(ctx) == nil })
		login(t, s, alice, policy)
	}
	if _, err := s.Refresh(ctx, refreshStep(alice, current, policy)); session.CodeOf(err) != session.Unknown {
		t.Errorf("refresh of a lost session: got %v, want %s", err, session.Unknown)
	}
}

// TestServerNeverAnswers uses a listener that accepts connections in its backlog and never
// answers.
func TestServerNeverAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := open(t, "redis://"+l.Addr().String()+"?read_timeout=100ms")
	if err := s.Ping(ctx); session.CodeOf(err) != session.Unavailable {
		t.Errorf("got %v, want %s", err, session.Unavailable)
	}
}

// TestServerIsReplica checks that steps that write fail on a replica.
func TestServerIsReplica(t *testing.T) {
	r := redistest.Sentinel(t)
	current := login(t, open(t, r.URL), alice, policy).Session
	r.Primary.WaitInSync(r.Replica)
	errs := runSteps(open(t, r.Replica.URL), current)
	// Those that only read, or find nothing to remove.
	for _, step := range []string{"CheckToken", "List", "Live", "Tombstones", "FindAccount", "Account", "Accounts", "RemoveAccount", "Release", "Refusals"} {
		delete(errs, step)
	}
	wantUnavailable(t, errs)
}

// TestMissingRights checks that steps fail with Unavailable if the Redis user lacks
// rights or the password is wrong, and that no error contains the password.
func TestMissingRights(t *testing.T) {
	srv := redistest.Standalone(t, "--appendonly", "yes")
	current := login(t, open(t, srv.URL), alice, policy).Session
	srv.Do("ACL", "SETUSER", "weak", "on", ">s3cret", "~*", "&*", "+ping", "+hello", "+client", "+info")
	srv.Do("ACL", "SETUSER", "keyless", "on", ">s3cret", "&*", "+@all")
	srv.Do("ACL", "SETUSER", "default", "resetpass", ">s3cret")
	for _, user := range []string{"weak:s3cret@", "keyless:s3cret@", ":wr0ng-s3cret@", "unknown:s3cret@", ""} {
		errs := runSteps(open(t, "redis://"+user+srv.Addr), current)
		wantUnavailable(t, errs)
		for step, err := range errs {
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q: the error of %s contains the password: %v", user, step, err)
			}
		}
	}
	if warnings, err := open(t, "redis://:s3cret@"+srv.Addr).Warnings(ctx); err != nil || len(warnings) != 0 {
		t.Errorf("with all rights: got warnings %q, %v; want none", warnings, err)
	}
}

// TestSlowServer checks that a step ends at the read timeout or the context's deadline.
func TestSlowServer(t *testing.T) {
	srv := redistest.Standalone(t)
	current := login(t, open(t, srv.URL), alice, policy).Session
	srv.Do("CLIENT", "PAUSE", "2500", "ALL")
	for _, mode := range []string{"auto_pipeline=false", "auto_pipeline=true"} {
		s := open(t, srv.URL+"?read_timeout=100ms&dial_timeout=100ms&"+mode)
		start := time.Now()
		_, err := s.Refresh(ctx, refreshStep(alice, current, policy))
		if took := time.Since(start); session.CodeOf(err) != session.Unavailable || took > time.Second {
			t.Errorf("%s with a read timeout: got %v after %s, want %s within 1s", mode, err, took, session.Unavailable)
		}
		s = open(t, srv.URL+"?"+mode)
		limited, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		start = time.Now()
		_, err = s.Refresh(limited, refreshStep(alice, current, policy))
		if took := time.Since(start); session.CodeOf(err) != session.Unavailable || took > time.Second {
			t.Errorf("%s with a deadline: got %v after %s, want %s within 1s", mode, err, took, session.Unavailable)
		}
	}
}

// TestBusyServer runs the steps while a script occupies the server.
func TestBusyServer(t *testing.T) {
	srv := redistest.Standalone(t, "--lua-time-limit", "50")
	s := open(t, srv.URL)
	current := login(t, s, alice, policy).Session
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Do("EVAL", "while true do end", "0")
	}()
	time.Sleep(200 * time.Millisecond)
	errs := runSteps(s, current)
	delete(errs, "Warnings")
	wantUnavailable(t, errs)
	srv.Do("SCRIPT", "KILL")
	<-done
	refresh(t, s, alice, current, policy)
}

func TestPoolIsExhausted(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?pool_size=1&pool_timeout=50ms")
	current := login(t, s, alice, policy).Session
	srv.Do("CLIENT", "PAUSE", "1000", "ALL")
	first := make(chan error)
	go func() {
		_, err := s.Refresh(ctx, refreshStep(alice, current, policy))
		first <- err
	}()
	time.Sleep(100 * time.Millisecond)
	_, err := s.Refresh(ctx, refreshStep(alice, current, policy))
	if session.CodeOf(err) != session.Unavailable {
		t.Errorf("got %v, want %s", err, session.Unavailable)
	}
	if s.Connections().Timeouts == 0 {
		t.Error("Connections does not count the timeout")
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// TestClusterLosesNode checks that only the steps of users on the lost node fail.
func TestClusterLosesNode(t *testing.T) {
	c := redistest.Cluster(t, 3)
	s := open(t, c.URL+"?dial_timeout=500ms")
	sessions := map[string]session.Session{}
	owner := func(user string) session.Owner { return session.Owner{App: "shop", User: user} }
	for _, user := range strings.Split("abcdefghijklmnopqrst", "") {
		sessions[user] = login(t, s, owner(user), policy).Session
	}
	c.Nodes[2].Kill()
	failed := 0
	for user, current := range sessions {
		_, err := s.Refresh(ctx, refreshStep(owner(user), current, policy))
		switch session.CodeOf(err) {
		case session.OK:
		case session.Unavailable:
			failed++
		default:
			t.Errorf("user %s: got %v, want %s or %s", user, err, session.OK, session.Unavailable)
		}
	}
	if failed == 0 || failed == len(sessions) {
		t.Errorf("%d of %d refreshes failed, want some but not all", failed, len(sessions))
	}
	if _, err := s.RevokeApp(ctx, "shop"); session.CodeOf(err) != session.Unavailable {
		t.Errorf("RevokeApp with some buckets down: got %v, want %s", err, session.Unavailable)
	}
}

// TestCorruptData checks that steps fail with Internal, and not with Unavailable, if the
// data in Redis is corrupt.
func TestCorruptData(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	current := login(t, s, alice, policy).Session
	for _, key := range keys(srv) {
		srv.Do("SET", key, "nonsense")
	}
	_, refreshErr := s.Refresh(ctx, refreshStep(alice, current, policy))
	_, listErr := s.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
	for step, err := range map[string]error{"Refresh": refreshErr, "List": listErr} {
		if session.CodeOf(err) != session.Internal {
			t.Errorf("%s: got %v, want %s", step, err, session.Internal)
		}
	}
}
