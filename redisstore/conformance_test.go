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

// clock stands still until it is advanced. It is ahead of the real one, as
// Options.Now asks.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Now().Add(time.Hour).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// harness opens stores on one deployment, each under its own prefix.
func harness(url string, change ...func(*redisstore.Options)) func(t *testing.T) storetest.Harness {
	var opened atomic.Int64
	return func(t *testing.T) storetest.Harness {
		c := newClock()
		s := open(t, url, append(change, func(o *redisstore.Options) {
			o.Prefix = fmt.Sprintf("t%d", opened.Add(1))
			o.Now = c.now
			o.Sweep = 100 * time.Millisecond
		})...)
		return storetest.Harness{Store: s, Ledger: s, Directory: s, Feed: s, Advance: c.advance, Clock: c.now}
	}
}

func TestConformanceStandalone(t *testing.T) {
	var heard replies
	server := redistest.Standalone(t)
	open := harness(server.URL, func(o *redisstore.Options) { o.Observe = heard.note })
	storetest.Run(t, open)
	t.Run("Differential", func(t *testing.T) { storetest.Differential(t, open) })
	t.Run("LikeIDs", func(t *testing.T) { likeIDs(t, open(t).Store) })
	t.Run("LatePut", func(t *testing.T) { latePut(t, server.URL, heard.note) })
	heard.compare(t)
}

// likeIDs: two sessions of one user whose IDs would give their fields one name,
// which chance never brings about, are not mixed up: the second doesn't begin,
// and to end it ends nothing.
func likeIDs(t *testing.T, s session.Store) {
	first, second := createStep(alice, long), createStep(alice, long)
	first.Session.ID = session.NewID().As(session.Long)
	second.Session.ID = first.Session.ID[:10] + second.Session.ID[10:]
	created, err := s.Create(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, second); session.CodeOf(err) != session.Unavailable {
		t.Errorf("a session whose ID begins like another's: %v", err)
	}
	if _, err := s.End(ctx, session.EndStep{Owner: alice, ID: second.Session.ID, Cause: session.CauseUser}); session.CodeOf(err) != session.Unknown {
		t.Errorf("the end of one whose ID begins like another's: %v", err)
	}
	list, err := s.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
	if err != nil || len(list.Sessions) != 1 || list.Sessions[0].ID != created.Session.ID {
		t.Errorf("the list has %v; %v", list.Sessions, err)
	}
}

// latePut: a user who changes between a Put's look and its writing stays so.
func latePut(t *testing.T, url string, note func(string, session.Code, time.Duration)) {
	var come func()
	other := open(t, url)
	s := open(t, url, func(o *redisstore.Options) {
		o.Observe = func(script string, code session.Code, took time.Duration) {
			note(script, code, took)
			if script == "claim" {
				come()
			}
		}
	})
	mine, ann, late := account(1, "anna"), account(1, "ann"), account(1, "ann")
	late.Active = false
	for _, c := range []struct {
		was, meanwhile session.Account
		want           session.Code
	}{{session.Account{}, ann, session.UserExists}, {ann, late, session.UserUnknown}} {
		come = func() { put(t, other, c.meanwhile) }
		if _, err := s.Put(ctx, "shop", mine, c.was); session.CodeOf(err) != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
		if got, err := s.Account(ctx, "shop", mine.ID); err != nil || c.meanwhile.Still(got) != nil {
			t.Errorf("%+v, %v; want %+v", got, err, c.meanwhile)
		}
	}
}

func TestConformancePipelined(t *testing.T) {
	storetest.Run(t, harness(redistest.Standalone(t).URL+"?auto_pipeline=true"))
}

func TestConformanceSentinel(t *testing.T) {
	storetest.Run(t, harness(redistest.Sentinel(t).URL))
}

func TestConformanceCluster(t *testing.T) {
	open := harness(redistest.Cluster(t, 3).URL)
	storetest.Run(t, open)
	t.Run("Differential", func(t *testing.T) { storetest.Differential(t, open) })
}
