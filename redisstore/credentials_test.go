package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestSetURL changes the password of the Redis user while a store is in use, as an operator
// does: the new password is added, given to the store, and the old one is removed.
func TestSetURL(t *testing.T) {
	r, c, single := redistest.Sentinel(t), redistest.Cluster(t, 2), redistest.Standalone(t)
	for name, test := range map[string]struct {
		url   string
		nodes []*redistest.Server
	}{
		"standalone":  {single.URL, []*redistest.Server{single}},
		"no pipeline": {single.URL + "?auto_pipeline=false", []*redistest.Server{single}},
		"sentinel":    {r.URL, []*redistest.Server{r.Primary, r.Replica}},
		"cluster":     {c.URL, c.Nodes},
	} {
		t.Run(name, func(t *testing.T) {
			each := func(command ...string) {
				for _, node := range test.nodes {
					node.Do(command...)
				}
			}
			each("ACL", "SETUSER", "gate", "reset", "on", ">old-s3cret", "~*", "&*", "+@all")
			withPassword := func(password string) string {
				return strings.Replace(test.url, "://", "://gate:"+password+"@", 1)
			}
			s := open(t, withPassword("old-s3cret"))
			login(t, s, alice, policy)
			each("ACL", "SETUSER", "gate", ">new-s3cret")
			if err := s.SetURL(withPassword("new-s3cret")); err != nil {
				t.Fatal(err)
			}
			login(t, s, alice, policy) // on an established connection
			each("ACL", "SETUSER", "gate", "<old-s3cret")
			for _, user := range strings.Split("abcdefgh", "") { // in several slots
				each("CLIENT", "KILL", "USER", "gate")
				login(t, s, session.Owner{App: "shop", User: user}, policy)
			}
		})
	}
}

// TestSetURLRefusesOtherChanges checks that only the user and the password can change, that
// a refused URL changes nothing, and that errors do not repeat the URL.
func TestSetURLRefusesOtherChanges(t *testing.T) {
	srv, other := redistest.Standalone(t), redistest.Standalone(t)
	srv.Do("CONFIG", "SET", "requirepass", "s3cret")
	s := open(t, "redis://:s3cret@"+srv.Addr+"?read_timeout=5s")
	for _, url := range []string{
		"redis://:wr0ng-s3cret@" + other.Addr + "?read_timeout=5s", "redis://:wr0ng-s3cret@" + srv.Addr, "redis://:wr0ng-s3cret@" + srv.Addr + "/1?read_timeout=5s",
		"redis://:wr0ng-s3cret@" + srv.Addr + "?read_timeout=6s", "rediss://:wr0ng-s3cret@" + srv.Addr + "?read_timeout=5s",
		"redis+cluster://:wr0ng-s3cret@" + srv.Addr + "?read_timeout=5s", "redis://:wr0ng-s3cret@" + srv.Addr + "?read_timeout=5s&sentinel_password=s3cret",
		"redis://:%wr0ng-s3cret@" + srv.Addr + "?read_timeout=5s", "",
	} {
		err := s.SetURL(url)
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: got %v, want an error that does not repeat the URL", url, err)
		}
	}
	srv.DoWithPassword("s3cret", "CLIENT", "KILL", "TYPE", "normal")
	login(t, s, alice, policy)
}

// TestExtendRetention checks that later revocations are kept for the longest retention that
// was asked for.
func TestExtendRetention(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	outboxLifetime := func() time.Duration {
		revoke(t, s, login(t, s, alice, policy).Session.ID)
		for _, key := range keys(srv) {
			if srv.Do("TYPE", key) == "stream" {
				return ttl(t, srv, key)
			}
		}
		t.Fatal("there is no outbox")
		return 0
	}
	before := outboxLifetime()
	s.ExtendRetention(time.Minute) // less than the default
	if got := outboxLifetime(); got < before-time.Minute {
		t.Errorf("after a shorter retention: the outbox lives %s, want about %s", got, before)
	}
	s.ExtendRetention(100 * time.Hour)
	s.ExtendRetention(50 * time.Hour)
	if got := outboxLifetime(); got < 100*time.Hour-time.Minute {
		t.Errorf("after ExtendRetention: the outbox lives %s, want at least about 100h", got)
	}
}
