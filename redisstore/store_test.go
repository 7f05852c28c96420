package redisstore_test

import (
	"context"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

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

var (
	ctx   = context.Background()
	alice = session.Owner{App: "shop", User: "42"}
	long  = session.Policy{
		Lifetime: 30 * 24 * time.Hour, Rotate: true, ReuseDetection: true, RetryWindow: 30 * time.Second,
		UpdateLastLogin: true, Extend: true, ExtendOnceAfter: 15 * 24 * time.Hour,
		AbsoluteLifetime: 90 * 24 * time.Hour, Limit: true, Max: 3, DestroyOldest: true,
	}
)

func createStep(o session.Owner, p session.Policy) session.CreateStep {
	return session.CreateStep{Owner: o, Policy: p, Session: session.Session{
		ID: session.NewID(), Type: session.Long, Info: "Firefox 140 on Linux, Göteborg, Sverige", // 40 bytes
	}}
}

func login(tb testing.TB, s *redisstore.Store, o session.Owner, p session.Policy) session.Created {
	tb.Helper()
	c, err := s.Create(ctx, createStep(o, p))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func refreshStep(o session.Owner, now session.Session, p session.Policy) session.RefreshStep {
	return session.RefreshStep{
		Owner: o, ID: now.ID, Type: now.Type, Policy: p,
		Presented: session.Presented{Generation: now.Generation, Expires: now.Expires},
	}
}

// TestForeignIDs: an ID of another form than ours names no session, although it
// may be the name of a field.
func TestForeignIDs(t *testing.T) {
	s := open(t, redistest.Standalone(t).URL)
	now := login(t, s, alice, long).Session
	for _, id := range []session.ID{now.ID + "i", now.ID + "c", "-", "|", "x"} {
		foreign := now
		foreign.ID = id
		_, refresh := s.Refresh(ctx, refreshStep(alice, foreign, long))
		_, end := s.End(ctx, session.EndStep{Owner: alice, ID: id})
		_, logout := s.Logout(ctx, session.LogoutStep{Owner: alice, ID: id, Type: now.Type})
		_, others := s.EndOthers(ctx, session.EndOthersStep{Owner: alice, Types: session.Types, Keep: id})
		for step, err := range map[string]error{
			"refresh": refresh, "end": end, "logout": logout, "others": others, "live": s.Live(ctx, alice, id),
		} {
			if session.CodeOf(err) != session.Unknown {
				t.Errorf("%s of %q: %v", step, id, err)
			}
		}
		if _, err := s.List(ctx, session.ListStep{Owner: alice, Caller: id, Types: session.Types}); session.CodeOf(err) != session.TokenRevoked {
			t.Errorf("list by %q: %v", id, err)
		}
		step := createStep(alice, long)
		step.Session.ID = id
		if _, err := s.Create(ctx, step); session.CodeOf(err) != session.Internal {
			t.Errorf("create %q: %v", id, err)
		}
	}
	list, err := s.List(ctx, session.ListStep{Owner: alice, Caller: now.ID, Types: session.Types})
	if err != nil || len(list.Sessions) != 1 {
		t.Errorf("%v %v", list, err)
	}
}
