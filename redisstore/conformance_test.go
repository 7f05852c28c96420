package redisstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
	"tokengate/session/storetest"
)

func TestConformanceStandalone(t *testing.T) {
	var codes scriptCodes
	server := redistest.Standalone(t)
	open := harness(server.URL, func(o *redisstore.Options) { o.Observe = codes.observe })
	storetest.Run(t, open)
	t.Run("Differential", func(t *testing.T) { storetest.Differential(t, open) })
	t.Run("DifferentialLimiter", func(t *testing.T) { storetest.DifferentialLimiter(t, open) })
	t.Run("SimilarIDs", func(t *testing.T) { testSimilarIDs(t, open(t).Store) })
	t.Run("ConcurrentPut", func(t *testing.T) { testConcurrentPut(t, server.URL, codes.observe) })
	codes.compareWithHeaders(t)
}

func TestConformanceWithoutPipeline(t *testing.T) {
	storetest.Run(t, harness(redistest.Standalone(t).URL+"?auto_pipeline=false"))
}

func TestConformanceSentinel(t *testing.T) {
	storetest.Run(t, harness(redistest.Sentinel(t).URL))
}

func TestConformanceCluster(t *testing.T) {
	open := harness(redistest.Cluster(t, 3).URL)
	storetest.Run(t, open)
	t.Run("Differential", func(t *testing.T) { storetest.Differential(t, open) })
}

// harness returns a function that opens stores on one deployment, each with its own
// prefix.
func harness(url string, change ...func(*redisstore.Options)) func(t *testing.T) storetest.Harness {
	var opened atomic.Int64
	return func(t *testing.T) storetest.Harness {
		c := newClock()
		s := open(t, url, append(change, func(o *redisstore.Options) {
			o.Prefix = fmt.Sprintf("t%d", opened.Add(1))
			o.Now = c.now
			o.PollInterval = 100 * time.Millisecond
		})...)
		return storetest.Harness{Store: s, Directory: s.Directory(), Limiter: s.Limiter(), Feed: s, Advance: c.advance, Clock: c.now}
	}
}

// clock moves only when it is advanced. It starts ahead of the real time, because
// Options.Now must not be behind it.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Now().Add(time.Hour).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// testSimilarIDs checks that two sessions of one user whose IDs name the same fields are
// not confused: the second cannot be created, and revoking it revokes nothing. Random
// IDs are never that similar.
func testSimilarIDs(t *testing.T, s session.Store) {
	first, second := createStep(alice, policy), createStep(alice, policy)
	first.Session.ID = session.NewID().WithType(session.Long)
	second.Session.ID = first.Session.ID[:10] + second.Session.ID[10:]
	created, err := s.Create(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, second); session.CodeOf(err) != session.Unavailable {
		t.Errorf("Create with a similar ID: got %v, want %s", err, session.Unavailable)
	}
	if _, err := s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: second.Session.ID, Cause: session.CauseUser}); session.CodeOf(err) != session.Unknown {
		t.Errorf("Revoke of a similar ID: got %v, want %s", err, session.Unknown)
	}
	listed, err := s.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
	if err != nil || len(listed.Sessions) != 1 || listed.Sessions[0].ID != created.Session.ID {
		t.Errorf("List: got %v, %v; want the session %s", listed.Sessions, err, created.Session.ID)
	}
}

// testConcurrentPut checks that PutAccount fails if the account changes after it was
// read, and keeps that change.
func testConcurrentPut(t *testing.T, url string, observe func(string, session.Code, time.Duration)) {
	var putConcurrently func()
	other := open(t, url)
	s := open(t, url, func(o *redisstore.Options) {
		o.Observe = func(script string, code session.Code, took time.Duration) {
			observe(script, code, took)
			if script == "reserve_username" {
				putConcurrently()
			}
		}
	})
	renamed, ann, disabled := account(1, "anna"), account(1, "ann"), account(1, "ann")
	disabled.Active = false
	for _, c := range []struct {
		was, concurrent session.Account
		want            session.Code
	}{{noAccount, ann, session.UserExists}, {ann, disabled, session.UserUnknown}} {
		putConcurrently = func() { put(t, other, c.concurrent) }
		if _, err := s.Directory().PutAccount(ctx, "shop", renamed, c.was); session.CodeOf(err) != c.want {
			t.Errorf("PutAccount: got %v, want %s", err, c.want)
		}
		if got, err := s.Directory().Account(ctx, "shop", renamed.ID); err != nil || c.concurrent.CheckUnchanged(got) != nil {
			t.Errorf("Account: got %+v, %v; want %+v", got, err, c.concurrent)
		}
	}
}
