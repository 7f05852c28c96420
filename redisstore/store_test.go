package redisstore_test

import (
	"context"
	"testing"
	"time"

	"tokengate/redisstore"
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
