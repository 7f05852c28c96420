package redisstore_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// steps runs each step once, on a session that is or was there.
func steps(s *redisstore.Store, now session.Session) map[string]error {
	errs := map[string]error{}
	_, errs["create"] = s.Create(ctx, createStep(alice, long))
	_, errs["refresh"] = s.Refresh(ctx, refreshStep(alice, now, long))
	_, errs["list"] = s.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
	_, errs["others"] = s.EndOthers(ctx, session.EndOthersStep{Owner: alice, Types: session.Types, Keep: now.ID, KeepGeneration: now.Generation})
	_, errs["logout"] = s.Logout(ctx, session.LogoutStep{Owner: alice, ID: now.ID, Type: now.Type, Policy: long,
		Presented: session.Presented{Generation: now.Generation, Expires: now.Expires}})
	_, errs["end"] = s.End(ctx, session.EndStep{Owner: alice, ID: now.ID})
	errs["live"] = s.Live(ctx, alice, now.ID)
	_, errs["traces"] = s.Traces(ctx, alice)
	_, errs["epoch"] = s.EndApp(ctx, alice.App)
	_, errs["find"] = s.Find(ctx, alice.App, "ann")
	_, errs["accounts"] = s.Accounts(ctx, alice.App)
	_, errs["put"] = s.Put(ctx, alice.App, session.Account{ID: session.NumberID(1), Username: "ann"}, session.Account{})
	_, errs["account"] = s.Account(ctx, alice.App, session.NumberID(1))
	_, errs["remove"] = s.Remove(ctx, alice.App, session.NumberID(1))
	errs["ping"] = s.Ping(ctx)
	_, errs["warnings"] = s.Warnings(ctx)
	return errs
}

// wantUnavailable wants every step to say that it cannot tell.
func wantUnavailable(t *testing.T, errs map[string]error, but ...string) {
	t.Helper()
	for step, err := range errs {
		expected := session.Unavailable
		for _, b := range but {
			if b == step {
				expected = session.OK
			}
		}
		if session.CodeOf(err) != expected {
			t.Errorf("%s: got %v, want %s", step, err, expected)
		}
		if _, isOurs := errors.AsType[*session.Error](err); err != nil && !isOurs {
			t.Errorf("%s: %T is no *session.Error", step, err)
		}
	}
}

// soon waits for something to become true, the client's own pauses included.
func soon(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestUnreachable(t *testing.T) {
	srv := redistest.Standalone(t)
	s, pipelined := open(t, srv.URL), open(t, srv.URL+"?auto_pipeline=true")
	now := login(t, s, alice, long).Session
	login(t, pipelined, alice, long)
	srv.Kill()
	for name, s := range map[string]*redisstore.Store{"plain": s, "pipelined": pipelined} {
		start := time.Now()
		wantUnavailable(t, steps(s, now))
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: the steps took %s to find that nobody listens", name, took)
		}
	}
	srv.Restart() // with nothing in it, scripts included
	for _, s := range []*redisstore.Store{s, pipelined} {
		soon(t, "the server is found again", func() bool { return s.Ping(ctx) == nil })
		login(t, s, alice, long)
	}
	if _, err := s.Refresh(ctx, refreshStep(alice, now, long)); session.CodeOf(err) != session.Unknown {
		t.Errorf("got %v", err)
	}
}

func TestScriptsAreLost(t *testing.T) {
	r := redistest.Sentinel(t)
	stores := map[string]*redisstore.Store{
		"plain":     open(t, r.URL),
		"pipelined": open(t, r.URL+"?auto_pipeline=true"),
		"waiting":   open(t, r.URL, func(o *redisstore.Options) { o.WaitReplicas = 1 }),
	}
	for name, s := range stores {
		now := login(t, s, alice, long).Session
		for range 2 {
			r.Primary.Do("SCRIPT", "FLUSH")
			before := now.Generation
			now = refresh(t, s, now, long)
			if now.Generation != before+1 {
				t.Errorf("%s: generation %d after %d", name, now.Generation, before)
			}
		}
		got := counts(t, r.Primary, func() { now = refresh(t, s, now, long) })
		if got["evalsha"] != 1 || got["eval"] != 0 {
			t.Errorf("%s: once loaded, a refresh runs %v", name, got)
		}
	}
}

// contents is all that a server holds.
func contents(srv *redistest.Server) map[string]string {
	all := map[string]string{}
	for _, key := range keys(srv) {
		all[key] = srv.Do("DUMP", key) + srv.Do("PEXPIRETIME", key)
	}
	return all
}

func TestOutOfMemory(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := long
	p.Max, p.ExtendEveryTime = 2, true
	now := refresh(t, s, login(t, s, alice, p).Session, p)
	other := login(t, s, alice, p).Session
	spent := login(t, s, session.Owner{App: "shop", User: "eve"}, p).Session
	before := contents(srv)
	srv.Do("CONFIG", "SET", "maxmemory", "1")

	_, err := s.Create(ctx, createStep(alice, p)) // would evict
	wantUnavailable(t, map[string]error{"create": err})
	_, err = s.Refresh(ctx, refreshStep(alice, now, p))
	wantUnavailable(t, map[string]error{"refresh": err})
	if after := contents(srv); !maps.Equal(after, before) {
		t.Errorf("a step that failed changed %q into %q", before, after)
	}
	list, err := s.List(ctx, session.ListStep{Owner: alice, Caller: now.ID, Types: session.Types})
	if err != nil || len(list.Sessions) != 2 {
		t.Errorf("list: %v %v", list, err)
	}
	retry := now
	retry.Generation--
	if _, err = s.Refresh(ctx, refreshStep(alice, retry, p)); err != nil {
		t.Errorf("a retry, which writes nothing: %v", err)
	}
	end(t, s, other.ID)
	ended, err := s.Traces(ctx, alice)
	if err != nil || len(ended) != 1 || ended[0].ID != other.ID {
		t.Errorf("traces: %v %v", ended, err)
	}
	others, err := s.EndOthers(ctx, session.EndOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseOperator})
	if err != nil || len(others.Ended) != 1 {
		t.Errorf("others: %v %v", others, err)
	}
	if _, err := s.EndApp(ctx, "other"); err != nil {
		t.Errorf("EndApp: %v", err)
	}
	p.RetryWindow = 0
	replay := session.RefreshStep{Owner: session.Owner{App: "shop", User: "eve"}, ID: spent.ID, Type: spent.Type, Policy: p}
	if _, err := s.Refresh(ctx, replay); session.CodeOf(err) != session.Replayed {
		t.Errorf("replay: %v", err)
	}
	srv.Do("CONFIG", "SET", "maxmemory", "0")
	login(t, s, alice, p)
}

func TestReplica(t *testing.T) {
	r := redistest.Sentinel(t)
	now := login(t, open(t, r.URL), alice, long).Session
	r.Primary.InStep(r.Replica)
	errs := steps(open(t, r.Replica.URL), now)
	for _, reads := range []string{"list", "live", "traces", "find", "account", "accounts", "ping", "warnings", "remove"} {
		delete(errs, reads)
	}
	wantUnavailable(t, errs)
}

// TestRights: what Redis says of names and passwords is no answer about a
// session, and repeats neither.
func TestRights(t *testing.T) {
	srv := redistest.Standalone(t, "--appendonly", "yes")
	now := login(t, open(t, srv.URL), alice, long).Session
	srv.Do("ACL", "SETUSER", "weak", "on", ">s3cret", "~*", "&*", "+ping", "+hello", "+client", "+info")
	srv.Do("ACL", "SETUSER", "keyless", "on", ">s3cret", "&*", "+@all")
	srv.Do("ACL", "SETUSER", "default", "resetpass", ">s3cret")
	for user, but := range map[string][]string{
		"weak:s3cret@": {"warnings"}, "keyless:s3cret@": {"warnings"}, ":wr0ng-s3cret@": nil, "nobody:s3cret@": nil, "": nil,
	} {
		errs := steps(open(t, "redis://"+user+srv.Addr), now)
		wantUnavailable(t, errs, but...)
		for step, err := range errs {
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q: %s tells the password: %v", user, step, err)
			}
		}
	}
	if warnings, err := open(t, "redis://:s3cret@"+srv.Addr).Warnings(ctx); err != nil || len(warnings) != 0 {
		t.Errorf("%q %v", warnings, err)
	}
}

func TestSlow(t *testing.T) {
	srv := redistest.Standalone(t)
	now := login(t, open(t, srv.URL), alice, long).Session
	srv.Do("CLIENT", "PAUSE", "2500", "ALL")
	for _, mode := range []string{"auto_pipeline=false", "auto_pipeline=true"} {
		impatient := open(t, srv.URL+"?read_timeout=100ms&dial_timeout=100ms&"+mode)
		start := time.Now()
		_, err := impatient.Refresh(ctx, refreshStep(alice, now, long))
		if took := time.Since(start); session.CodeOf(err) != session.Unavailable || took > time.Second {
			t.Errorf("%s: after %s %v", mode, took, err)
		}
		patient := open(t, srv.URL+"?"+mode)
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		start = time.Now()
		_, err = patient.Refresh(short, refreshStep(alice, now, long))
		if took := time.Since(start); session.CodeOf(err) != session.Unavailable || took > time.Second {
			t.Errorf("%s, with a deadline: after %s %v", mode, took, err)
		}
	}
}

func TestBusy(t *testing.T) {
	srv := redistest.Standalone(t, "--lua-time-limit", "50")
	s := open(t, srv.URL)
	now := login(t, s, alice, long).Session
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Do("EVAL", "while true do end", "0")
	}()
	time.Sleep(200 * time.Millisecond)
	errs := steps(s, now)
	delete(errs, "warnings")
	wantUnavailable(t, errs)
	srv.Do("SCRIPT", "KILL")
	<-done
	refresh(t, s, now, long)
}

func TestPoolIsExhausted(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?pool_size=1&pool_timeout=50ms")
	now := login(t, s, alice, long).Session
	srv.Do("CLIENT", "PAUSE", "1000", "ALL")
	first := make(chan error)
	go func() {
		_, err := s.Refresh(ctx, refreshStep(alice, now, long))
		first <- err
	}()
	time.Sleep(100 * time.Millisecond)
	_, err := s.Refresh(ctx, refreshStep(alice, now, long))
	if session.CodeOf(err) != session.Unavailable {
		t.Errorf("got %v", err)
	}
	if s.Connections().Timeouts == 0 {
		t.Error("the time-out is not counted")
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestClusterLosesANode(t *testing.T) {
	c := redistest.Cluster(t, 3)
	s := open(t, c.URL+"?dial_timeout=500ms")
	held := map[string]session.Session{}
	owner := func(user string) session.Owner { return session.Owner{App: "shop", User: user} }
	for _, user := range strings.Split("abcdefghijklmnopqrst", "") {
		held[user] = login(t, s, owner(user), long).Session
	}
	c.Nodes[2].Kill()
	lost := 0
	for user, now := range held {
		_, err := s.Refresh(ctx, refreshStep(owner(user), now, long))
		switch session.CodeOf(err) {
		case session.OK:
		case session.Unavailable:
			lost++
		default:
			t.Errorf("%s: %v", user, err)
		}
	}
	if lost == 0 || lost == len(held) {
		t.Errorf("%d of %d can't be told", lost, len(held))
	}
	if _, err := s.EndApp(ctx, "shop"); session.CodeOf(err) != session.Unavailable {
		t.Errorf("EndApp of a part of the buckets: %v", err)
	}
}

// TestPingInACluster: one master that answers is enough, whichever it is, and
// nobody waits for those that don't.
func TestPingInACluster(t *testing.T) {
	c := redistest.Cluster(t, 3)
	for _, node := range c.Nodes {
		node.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	s := open(t, c.URL+"?dial_timeout=500ms")
	ping := func() error {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return s.Ping(limited)
	}
	if err := ping(); err != nil {
		t.Fatal(err)
	}
	for only, node := range c.Nodes {
		for i, other := range c.Nodes {
			if i != only {
				other.Do("CLIENT", "PAUSE", "1500", "ALL")
			}
		}
		if err := ping(); err != nil {
			t.Errorf("only %s answers: %v", node.Addr, err)
		}
		for _, other := range c.Nodes {
			other.Do("PING") // answers when the pause is over
		}
	}
	c.Nodes[0].Kill()
	c.Nodes[1].Kill()
	if err := ping(); err != nil {
		t.Errorf("two of three are dead: %v", err)
	}
	c.Nodes[2].Kill()
	if err := ping(); session.CodeOf(err) != session.Unavailable {
		t.Errorf("all are dead: %v", err)
	}
}

// TestDefect: what no state of the servers explains is Internal.
func TestDefect(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	now := login(t, s, alice, long).Session
	for _, key := range keys(srv) {
		srv.Do("SET", key, "nonsense")
	}
	for step, err := range map[string]error{
		"refresh": func() error { _, err := s.Refresh(ctx, refreshStep(alice, now, long)); return err }(),
		"list":    func() error { _, err := s.List(ctx, session.ListStep{Owner: alice, Types: session.Types}); return err }(),
	} {
		if session.CodeOf(err) != session.Internal {
			t.Errorf("%s: %v", step, err)
		}
	}
}

func TestNobodyListensAtAll(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts by its backlog and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := open(t, "redis://"+l.Addr().String()+"?read_timeout=100ms")
	if err := s.Ping(ctx); session.CodeOf(err) != session.Unavailable {
		t.Errorf("got %v", err)
	}
}
