package redisstore_test

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

var (
	ctx    = context.Background()
	alice  = session.Owner{App: "shop", User: "42"}
	policy = session.Policy{
		Lifetime: 30 * 24 * time.Hour, Rotate: true, ReuseDetection: true, RetryWindow: 30 * time.Second,
		UpdateLastLogin: true, Extend: true, ExtendOnceAfter: 15 * 24 * time.Hour,
		AbsoluteLifetime: 90 * 24 * time.Hour, Limit: true, Max: 3, DestroyOldest: true,
	}
)

// open returns a store with the default options, changed by change.
func open(tb testing.TB, url string, change ...func(*redisstore.Options)) *redisstore.Store {
	tb.Helper()
	o := redisstore.Defaults()
	o.URL = url
	for _, f := range change {
		f(&o)
	}
	s, err := redisstore.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func createStep(o session.Owner, p session.Policy) session.CreateStep {
	return session.CreateStep{Owner: o, Policy: p, Session: session.Session{
		ID: session.NewID(), Type: session.Long, Secret: session.NewSecret(), Info: "Firefox 140 on Linux, Göteborg, Sverige", // 40 bytes
	}}
}

// login creates a session without claims.
func login(tb testing.TB, s *redisstore.Store, o session.Owner, p session.Policy) session.CreateResult {
	tb.Helper()
	created, err := s.Create(ctx, createStep(o, p))
	if err != nil {
		tb.Fatal(err)
	}
	return created
}

// loginAs creates a session of a type, with claims.
func loginAs(tb testing.TB, s *redisstore.Store, o session.Owner, t session.Type, p session.Policy) session.Session {
	tb.Helper()
	step := createStep(o, p)
	step.Session.Type = t
	step.Session.Claims = []byte(`{"role":"admin"}`)
	created, err := s.Create(ctx, step)
	if err != nil {
		tb.Fatal(err)
	}
	return created.Session
}

// loginMany creates n sessions of alice at the same time.
func loginMany(t *testing.T, s *redisstore.Store, p session.Policy, n int) {
	t.Helper()
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := s.Create(ctx, createStep(alice, p))
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// refreshStep returns the refresh of a session with its current token.
func refreshStep(o session.Owner, current session.Session, p session.Policy) session.RefreshStep {
	return session.RefreshStep{
		Owner: o, ID: current.ID, Type: current.Type, Policy: p,
		Presented: session.Presented{Secret: current.Secret, Generation: current.Generation, Expires: current.Expires},
	}
}

func refresh(tb testing.TB, s *redisstore.Store, o session.Owner, current session.Session, p session.Policy) session.Session {
	tb.Helper()
	refreshed, err := s.Refresh(ctx, refreshStep(o, current, p))
	if err != nil {
		tb.Fatal(err)
	}
	return refreshed.Session
}

// logoutStep returns the logout of a session of alice with its current token.
func logoutStep(current session.Session, p session.Policy) session.LogoutStep {
	return session.LogoutStep{
		Owner: alice, ID: current.ID, Type: current.Type, Policy: p,
		Presented: session.Presented{Secret: current.Secret, Generation: current.Generation, Expires: current.Expires},
	}
}

// revoke revokes a session of alice.
func revoke(tb testing.TB, s *redisstore.Store, id session.ID) session.RevokeResult {
	tb.Helper()
	revoked, err := s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: id, Cause: session.CauseUser})
	if err != nil {
		tb.Fatal(err)
	}
	return revoked
}

// list returns the sessions of alice.
func list(tb testing.TB, s *redisstore.Store) []session.Session {
	tb.Helper()
	listed, err := s.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
	if err != nil {
		tb.Fatal(err)
	}
	return listed.Sessions
}

// account returns an account that can be written to a directory.
func account(id int64, name string) session.Account {
	return session.Account{ID: session.NumberID(id), Username: name, Password: "$argon2id$…", Active: true}
}

// put writes an account, in place of the one that has its ID.
func put(t *testing.T, s *redisstore.Store, a session.Account) {
	t.Helper()
	if err := replace(s, a); err != nil {
		t.Fatal(err)
	}
}

func replace(s *redisstore.Store, a session.Account) error {
	was, err := s.Directory().Account(ctx, "shop", a.ID)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return err
	}
	_, err = s.Directory().PutAccount(ctx, "shop", a, was)
	return err
}

// keys returns the names of all keys on a server.
func keys(srv *redistest.Server) []string {
	names := strings.Split(srv.Do("KEYS", "*"), "\n")
	if names[0] == "" {
		return nil
	}
	return names
}

// ttl returns the remaining lifetime of a key. It is negative if the key never expires.
func ttl(tb testing.TB, srv *redistest.Server, key string) time.Duration {
	tb.Helper()
	ms, err := strconv.ParseInt(srv.Do("PTTL", key), 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return time.Duration(ms) * time.Millisecond
}

// dump returns what a server holds: the value of each key, and its expiry but on Redis 6.2.
func dump(srv *redistest.Server) map[string]string {
	all := map[string]string{}
	for _, key := range keys(srv) {
		if strings.HasSuffix(key, ":probe") {
			continue // it expires within a second
		}
		all[key] = srv.Do("DUMP", key) + srv.Do("PEXPIRETIME", key)
	}
	return all
}

var commandCalls = regexp.MustCompile(`cmdstat_(\S+?):calls=(\d+)`)

// countCommands runs step and returns how often the server ran each command for it,
// including the commands of scripts.
func countCommands(tb testing.TB, srv *redistest.Server, step func()) map[string]int {
	tb.Helper()
	srv.Do("CONFIG", "RESETSTAT")
	step()
	counts := map[string]int{}
	for _, m := range commandCalls.FindAllStringSubmatch(srv.Do("INFO", "commandstats"), -1) {
		if name, _, _ := strings.Cut(m[1], "|"); name != "config" && name != "info" {
			counts[name], _ = strconv.Atoi(m[2])
		}
	}
	return counts
}

// waitFor waits up to 5 s for a condition, which is longer than the client's backoff.
func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
