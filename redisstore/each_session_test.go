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
	err := s.EachSession(ctx, "shop", func(o session.Owner, found session.Session, now time.Time) error {
		if !now.Equal(c.now()) {
			t.Errorf("got the time %s, want %s", now, c.now())
		}
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
	if err := s.EachSession(ctx, "shop", func(session.Owner, session.Session, time.Time) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("a visit that fails: got %v after %d calls, want its error after 1", err, calls)
	}
}

// TestEachSessionFails checks the error without Redis.
func TestEachSessionFails(t *testing.T) {
	visit := func(session.Owner, session.Session, time.Time) error { return nil }
	for _, url := range []string{redistest.Standalone(t).URL, redistest.Cluster(t, 3).URL} {
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		wantUnavailable(t, map[string]error{"EachSession": open(t, url).EachSession(cancelled, "shop", visit)})
	}
}
