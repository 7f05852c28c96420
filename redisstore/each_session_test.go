package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

func TestEachSessionStandalone(t *testing.T) {
	testEachSession(t, redistest.Standalone(t).URL)
}

func TestEachSessionCluster(t *testing.T) {
	testEachSession(t, redistest.Cluster(t, 3).URL)
}

// testEachSession checks that every live session of the app is visited once, and no other.
func testEachSession(t *testing.T, url string) {
	c := newClock()
	s := open(t, url, func(o *redisstore.Options) { o.Now = c.now })
	short := policy
	short.Lifetime = time.Minute
	for _, gone := range []string{"expired", "revoked"} {
		o := session.Owner{App: "shop", User: gone}
		loginAs(t, s, o, session.Long, short)
		if gone == "revoked" {
			if _, err := s.RevokeOthers(ctx, session.RevokeOthersStep{Owner: o, Types: session.Types, Cause: session.CauseOperator}); err != nil {
				t.Fatal(err)
			}
		}
	}
	loginAs(t, s, session.Owner{App: "shop", User: "of the app"}, session.Long, policy)
	if _, err := s.RevokeApp(ctx, "shop"); err != nil {
		t.Fatal(err)
	}
	c.advance(2 * time.Minute)
	var want []string
	for i := range 1000 { // more keys than one SCAN returns
		o := session.Owner{App: "shop", User: fmt.Sprint(i)}
		if i%200 == 0 {
			o.User = []string{"a:b", "LONG:7", "{x}%3A", "data:LONG:1", "ünï|çø dé+"}[i/200]
		}
		for n := range 1 + i%3 {
			created := loginAs(t, s, o, session.Types[(i+n)%2], policy)
			want = append(want, o.User+" "+string(created.Type)+" "+string(created.ID)+" "+created.Expires.String())
		}
	}
	loginAs(t, s, session.Owner{App: "shop2", User: "7"}, session.Long, policy)
	loginAs(t, s, session.Owner{App: "sho", User: "7"}, session.Long, policy)
	var got []string
	err := s.EachSession(ctx, "shop", func(o session.Owner, found session.Session) error {
		if o.App != "shop" {
			t.Errorf("got the owner %v, want one of shop", o)
		}
		got = append(got, o.User+" "+string(found.Type)+" "+string(found.ID)+" "+found.Expires.String())
		return nil
	})
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %d sessions, %v; want %d: %q, want %q", len(got), err, len(want), got, want)
	}
	stop, calls := errors.New("stop"), 0
	if err := s.EachSession(ctx, "shop", func(session.Owner, session.Session) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("a visit that fails: got %v after %d calls, want its error after 1", err, calls)
	}
	if now, err := s.Now(ctx); err != nil || !now.Equal(c.now()) {
		t.Errorf("Now: got %v, %v; want %v", now, err, c.now())
	}
}

// TestEachSessionFails checks the errors without Redis, and the clock of Redis.
func TestEachSessionFails(t *testing.T) {
	visit := func(session.Owner, session.Session) error { return nil }
	srv, cluster := redistest.Standalone(t), redistest.Cluster(t, 3)
	for _, url := range []string{srv.URL, cluster.URL} {
		s := open(t, url)
		if now, err := s.Now(ctx); err != nil || time.Since(now).Abs() > time.Minute {
			t.Errorf("%s: Now: got %v, %v", url, now, err)
		}
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		_, err := s.Now(cancelled)
		wantUnavailable(t, map[string]error{"Now": err, "EachSession": s.EachSession(cancelled, "shop", visit)})
	}
}
