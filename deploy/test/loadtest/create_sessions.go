package main

import (
	"cmp"
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tokengate/redisstore"
	"tokengate/session"
	"tokengate/session/config"
)

// createdSession is a session that createSessions created.
type createdSession struct {
	session.Owner
	session.Session
}

// sessionSet describes the sessions that createSessions creates. User IDs are
// consecutive numbers.
type sessionSet struct {
	app       string                   // empty means testApp
	info      string                   // device info; empty means testInfo
	firstUser int                      // ID of the first user
	users     int                      // number of users
	perUser   func(user int) int       // number of sessions of a user, counted from 0
	expires   func(user int) time.Time // when the sessions of a user expire; nil means as the policy says
	change    func(p *session.Policy)  // changes the default policy of LONG; nil means no change
	sample    int                      // about how many of the sessions to return, evenly spread
}

func oneToFive(user int) int     { return 1 + user%5 }
func always(n int) func(int) int { return func(int) int { return n } }

// usersWith returns the number of users that have n sessions in total if each has the
// number that oneToFive returns, which is 3 on average.
func usersWith(n int) int { return n / 3 }

// createWorkers is the number of sessions that are created concurrently. It is high
// enough to fill pipelines.
const createWorkers = 128

// openStore opens the store on a server as a gateway does.
func openStore(url string) (*redisstore.Store, error) {
	o := redisstore.Defaults()
	o.URL = url
	return redisstore.New(o)
}

func longPolicy(change func(*session.Policy)) session.Policy {
	p := config.DefaultApp().LongSession.SessionPolicy()
	if change != nil {
		change(&p)
	}
	return p
}

// createSessions creates sessions with the gateway's own script and keys, many at a
// time and without HTTP. It returns a sample of them in random order.
func createSessions(ctx context.Context, url string, set sessionSet) ([]createdSession, error) {
	store, err := openStore(url)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	total := 0
	for u := range set.users {
		total += set.perUser(u)
	}
	c := &sessionCreator{sessionSet: set, store: store, every: int64(max(1, total/max(set.sample, 1)))}
	err = runConcurrently(ctx, createWorkers, func(ctx context.Context, _ int) error { return c.work(ctx) })
	rand.Shuffle(len(c.sampled), func(i, j int) { c.sampled[i], c.sampled[j] = c.sampled[j], c.sampled[i] })
	return c.sampled, err
}

type sessionCreator struct {
	sessionSet
	store   *redisstore.Store
	every   int64        // one session out of this many goes into the sample
	next    atomic.Int64 // number of the next user
	created atomic.Int64

	mu      sync.Mutex
	sampled []createdSession
}

// work creates the sessions of one user after the other until none is left.
func (c *sessionCreator) work(ctx context.Context) error {
	policy := longPolicy(c.change)
	for ctx.Err() == nil {
		user := int(c.next.Add(1)) - 1
		if user >= c.users {
			return nil
		}
		owner := session.Owner{App: cmp.Or(c.app, testApp), User: strconv.Itoa(c.firstUser + user)}
		for range c.perUser(user) {
			if c.expires != nil {
				policy.Lifetime = time.Until(c.expires(user))
			}
			if err := c.create(ctx, owner, policy); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *sessionCreator) create(ctx context.Context, owner session.Owner, policy session.Policy) error {
	created, err := c.store.Create(ctx, session.CreateStep{
		Owner: owner, Policy: policy,
		Session: session.Session{ID: session.NewID(), Type: session.Long, Info: cmp.Or(c.info, testInfo), Secret: session.NewSecret()},
	})
	if err != nil {
		return err
	}
	n := c.created.Add(1)
	if c.sample > 0 && n%c.every == 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sampled = append(c.sampled, createdSession{owner, created.Session})
	}
	return nil
}

// refreshSessions makes n refreshes with the given number of workers. Each worker
// refreshes its own part of the sessions, again and again.
func refreshSessions(ctx context.Context, store *redisstore.Store, all []createdSession, n, workers int, policy session.Policy) error {
	return runConcurrently(ctx, workers, func(ctx context.Context, worker int) error {
		for i, at := 0, worker; i < n/workers; i, at = i+1, at+workers {
			s := &all[at%(len(all)/workers*workers)] // a multiple of workers, so that no two workers share a session
			refreshed, err := store.Refresh(ctx, session.RefreshStep{
				Owner: s.Owner, ID: s.ID, Type: s.Type, Policy: policy,
				Presented: session.Presented{Secret: s.Secret, Generation: s.Generation, Expires: s.Expires},
			})
			if err != nil {
				return err
			}
			s.Session = refreshed.Session
		}
		return nil
	})
}

// runConcurrently runs work once per worker, with the worker's number from 0. The
// first error cancels the context of the other workers and is returned.
func runConcurrently(ctx context.Context, workers int, work func(ctx context.Context, worker int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			if err := work(ctx, worker); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
