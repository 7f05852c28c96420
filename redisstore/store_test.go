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

func login(tb testing.TB, s *redisstore.Store, o session.Owner, p session.Policy) session.Created {
	tb.Helper()
	c, err := s.Create(ctx, session.CreateStep{Owner: o, Policy: p, Session: session.Session{
		ID: session.NewID(), Type: session.Long, Info: "Firefox", Claims: []byte(`{"role":"admin"}`)}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestFirst(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	c := login(t, s, alice, long)
	t.Logf("%+v", c)
	r, err := s.Refresh(ctx, session.RefreshStep{Owner: alice, ID: c.Session.ID, Type: session.Long, Presented: session.Presented{1, c.Session.Expires}, Policy: long})
	t.Logf("%+v %v", r, err)
	r, err = s.Refresh(ctx, session.RefreshStep{Owner: alice, ID: c.Session.ID, Type: session.Long, Presented: session.Presented{1, c.Session.Expires}, Policy: long})
	t.Logf("%+v %v", r, err)
	r, err = s.Refresh(ctx, session.RefreshStep{Owner: alice, ID: c.Session.ID, Type: session.Long, Presented: session.Presented{7, c.Session.Expires}, Policy: long})
	t.Logf("%+v %v", r, err)
	for range 4 {
		c = login(t, s, alice, long)
	}
	t.Logf("%+v", c)
	l, err := s.List(ctx, session.ListStep{Owner: alice, Types: session.Types, Caller: c.Session.ID})
	t.Logf("%+v %v", l, err)
	e, err := s.End(ctx, session.EndStep{Owner: alice, ID: l.Sessions[0].ID, Caller: c.Session.ID, Cause: session.CauseUser})
	t.Logf("%+v %v", e, err)
	e, err = s.End(ctx, session.EndStep{Owner: alice, ID: l.Sessions[0].ID, Caller: c.Session.ID, Cause: session.CauseUser})
	t.Logf("%+v %v", e, err)
	e, err = s.EndOthers(ctx, session.EndOthersStep{Owner: alice, Keep: c.Session.ID, KeepGeneration: 1, Types: session.Types, Caller: c.Session.ID, Cause: session.CauseOthers})
	t.Logf("%+v %v", e, err)
	e, err = s.Logout(ctx, session.LogoutStep{Owner: alice, ID: c.Session.ID, Type: session.Long, Presented: session.Presented{1, c.Session.Expires}, Policy: long})
	t.Logf("%+v %v", e, err)
	tr, err := s.Traces(ctx, alice)
	t.Logf("%+v %v", tr, err)
	e, err = s.EndApp(ctx, "shop")
	t.Logf("%+v %v", e, err)
	t.Log(s.Live(ctx, alice, c.Session.ID))
}
