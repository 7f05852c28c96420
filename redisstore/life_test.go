package redisstore_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

func loginAs(tb testing.TB, s *redisstore.Store, o session.Owner, t session.Type, p session.Policy) session.Session {
	tb.Helper()
	step := createStep(o, p)
	step.Session.Type = t
	step.Session.Claims = []byte(`{"role":"admin"}`)
	c, err := s.Create(ctx, step)
	if err != nil {
		tb.Fatal(err)
	}
	return c.Session
}

func refresh(tb testing.TB, s *redisstore.Store, now session.Session, p session.Policy) session.Session {
	tb.Helper()
	done, err := s.Refresh(ctx, refreshStep(alice, now, p))
	if err != nil {
		tb.Fatal(err)
	}
	return done.Session
}

func end(tb testing.TB, s *redisstore.Store, id session.ID) session.Receipt {
	tb.Helper()
	receipt, err := s.End(ctx, session.EndStep{Owner: alice, ID: id, Cause: session.CauseUser})
	if err != nil {
		tb.Fatal(err)
	}
	return receipt
}

// everything runs every step that writes, and leaves sessions of both types.
func everything(tb testing.TB, s *redisstore.Store, p session.Policy) {
	tb.Helper()
	for range p.Max + 1 { // evicts
		loginAs(tb, s, alice, session.Short, p)
	}
	first, second := loginAs(tb, s, alice, session.Long, p), loginAs(tb, s, alice, session.Long, p)
	spent := first
	for range 3 {
		first = refresh(tb, s, first, p)
	}
	if _, err := s.Refresh(ctx, refreshStep(alice, spent, p)); session.CodeOf(err) != session.Replayed {
		tb.Fatal(err)
	}
	end(tb, s, second.ID)
	third := loginAs(tb, s, alice, session.Long, p)
	_, err := s.Logout(ctx, session.LogoutStep{
		Owner: alice, ID: third.ID, Type: session.Long, Policy: p,
		Presented: session.Presented{Generation: third.Generation, Expires: third.Expires},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := s.EndOthers(ctx, session.EndOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseOperator}); err != nil {
		tb.Fatal(err)
	}
	if _, err := s.EndApp(ctx, alice.App); err != nil {
		tb.Fatal(err)
	}
	loginAs(tb, s, alice, session.Short, p)
	loginAs(tb, s, alice, session.Long, p)
}

// keys lists a server's keys.
func keys(srv *redistest.Server) []string {
	found := strings.Split(srv.Do("KEYS", "*"), "\n")
	if found[0] == "" {
		return nil
	}
	return found
}

// life is how long a key has still to live; negative for ever.
func life(tb testing.TB, srv *redistest.Server, key string) time.Duration {
	tb.Helper()
	ms, err := strconv.ParseInt(srv.Do("PTTL", key), 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return time.Duration(ms) * time.Millisecond
}

// about compares durations that a second's rounding keeps apart.
func about(a, b time.Duration) bool { return math.Abs(float64(a-b)) < float64(1100*time.Millisecond) }

func TestEveryKeyLivesAsTheSchemaSays(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	everything(t, s, long)
	o := redisstore.Defaults()
	want := map[string]time.Duration{
		"}:LONG:": long.Lifetime, "}:data:LONG:": long.Lifetime,
		"}:SHORT:": long.Lifetime, "}:data:SHORT:": long.Lifetime,
		"}:gone:": o.TraceLife, "}:endings": o.Horizon, "}:epoch": o.EpochLife,
	}
	met := map[string]int{}
	for _, key := range keys(srv) {
		for part, d := range want {
			if !strings.Contains(key, part) {
				continue
			}
			met[part]++
			if got := life(t, srv, key); !about(got, d) {
				t.Errorf("%s lives for %s, want %s", key, got, d)
			}
		}
		if life(t, srv, key) < 0 {
			t.Errorf("%s lives for ever", key)
		}
	}
	for part := range want {
		if met[part] == 0 {
			t.Errorf("no key with %q among %q", part, keys(srv))
		}
	}
}

// TestLifeFollowsTheLastSession: when the session that lives longest ends, what
// is left lives no longer than it needs to.
func TestLifeFollowsTheLastSession(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	long, short := long, long
	short.Lifetime = time.Hour
	loginAs(t, s, alice, session.Long, short)
	byID := loginAs(t, s, alice, session.Long, long)
	check := func(after string, want time.Duration) {
		t.Helper()
		n := 0
		for _, key := range keys(srv) {
			if !strings.Contains(key, "}:LONG:") && !strings.Contains(key, "}:data:") {
				continue
			}
			n++
			if got := life(t, srv, key); !about(got, want) {
				t.Errorf("after %s %s lives for %s, want %s", after, key, got, want)
			}
		}
		if n != 2 {
			t.Errorf("after %s there are %d keys, want 2", after, n)
		}
	}
	check("login", long.Lifetime)
	end(t, s, byID.ID)
	check("End", time.Hour)
	byLogout := loginAs(t, s, alice, session.Long, long)
	_, err := s.Logout(ctx, session.LogoutStep{Owner: alice, ID: byLogout.ID, Type: session.Long, Policy: long,
		Presented: session.Presented{Generation: 1, Expires: byLogout.Expires}})
	if err != nil {
		t.Fatal(err)
	}
	check("Logout", time.Hour)
	replayed := loginAs(t, s, alice, session.Long, long)
	refresh(t, s, refresh(t, s, replayed, long), long)
	if _, err := s.Refresh(ctx, refreshStep(alice, replayed, long)); session.CodeOf(err) != session.Replayed {
		t.Fatal(err)
	}
	check("a replay", time.Hour)
	evicted := loginAs(t, s, alice, session.Long, long)
	one := short
	one.Max, one.Lifetime = 1, 30*time.Minute
	loginAs(t, s, alice, session.Long, one)
	check("an eviction of "+string(evicted.ID), 30*time.Minute)
	extended := loginAs(t, s, alice, session.Long, short)
	long.ExtendEveryTime = true
	refresh(t, s, extended, long)
	check("an extension", long.Lifetime)
}

func TestNothingIsLeft(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, func(o *redisstore.Options) {
		o.TraceLife, o.Horizon, o.EpochLife = time.Second, time.Second, time.Second
	})
	p := long
	p.Lifetime, p.AbsoluteLifetime, p.ExtendOnceAfter, p.RetryWindow = time.Second, 2*time.Second, time.Second, 0
	everything(t, s, p)
	account := session.Account{ID: session.NumberID(1), Username: "ann", Active: true}
	if _, err := s.Put(ctx, "shop", account, session.Account{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(ctx, "shop", account.ID); err != nil {
		t.Fatal(err)
	}
	if srv.Do("DBSIZE") == "0" {
		t.Fatal("there was nothing in the first place")
	}
	deadline := time.Now().Add(5 * time.Second)
	for srv.Do("DBSIZE") != "0" && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	if left := keys(srv); len(left) > 0 {
		t.Errorf("left after every lifetime: %q", left)
	}
}

// TestEndedLeavesItsPlace: whichever step ends a session takes it out of the
// sorted set, where a place counts, and out of the records.
func TestEndedLeavesItsPlace(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := long
	p.Limit, p.Max, p.DestroyOldest, p.RetryWindow = true, 2, true, 0
	logout := func(now session.Session) {
		step := session.LogoutStep{Owner: alice, ID: now.ID, Type: now.Type, Policy: p}
		step.Presented = session.Presented{Generation: now.Generation, Expires: now.Expires}
		if _, err := s.Logout(ctx, step); err != nil {
			t.Error(err)
		}
	}
	for what, end := range map[string]func(now session.Session){
		"end":    func(now session.Session) { end(t, s, now.ID) },
		"logout": logout,
		"others": func(now session.Session) {
			if _, err := s.EndOthers(ctx, session.EndOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseOthers}); err != nil {
				t.Error(err)
			}
		},
		"replay": func(now session.Session) {
			refresh(t, s, now, p)
			_, _ = s.Refresh(ctx, refreshStep(alice, now, p))
		},
		"eviction": func(now session.Session) {
			loginAs(t, s, alice, session.Long, p)
			logout(loginAs(t, s, alice, session.Long, p))
			end(t, s, list(t, s)[0].ID)
		},
	} {
		end(loginAs(t, s, alice, session.Long, p))
		for _, key := range keys(srv) {
			if strings.HasSuffix(key, ":LONG:"+alice.User) {
				t.Errorf("%s leaves %s", what, key)
				srv.Do("DEL", key)
			}
		}
	}
}

func list(tb testing.TB, s *redisstore.Store) []session.Session {
	tb.Helper()
	listed, err := s.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
	if err != nil {
		tb.Fatal(err)
	}
	return listed.Sessions
}

// TestRecordsStaySmall: with the default redis.conf a user's data is a
// listpack, on which the measured bytes per session rest.
func TestRecordsStaySmall(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	refresh(t, s, loginAs(t, s, alice, session.Long, long), long)
	for _, key := range keys(srv) {
		if got := srv.Do("OBJECT", "ENCODING", key); got != "listpack" && got != "ziplist" {
			t.Errorf("%s is a %s", key, got)
		}
	}
}
