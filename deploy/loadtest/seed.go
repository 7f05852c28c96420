package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tokengate/redisstore"
	"tokengate/session"
	"tokengate/session/settings"
)

// seeded is a session that fill made.
type seeded struct {
	session.Owner
	session.Session
}

// plan is which sessions fill makes.
type plan struct {
	first, users int                      // users are numbers, the first of them and how many
	each         func(user int) int       // how many sessions a user has
	until        func(user int) time.Time // when they are to end; nil: as the policy says
	policy       func(p *session.Policy)  // what differs from the defaults of LONG; nil: nothing
	keep         int                      // give back so many of the sessions made, evenly
}

func oneToFive(user int) int      { return 1 + user%5 }
func exactly(n int) func(int) int { return func(int) int { return n } }

// usersFor is how many users with one to five sessions have n sessions.
func usersFor(n int) int { return n / 3 }

// fillers is how many steps are under way at once: enough to fill pipelines.
const fillers = 128

// open opens the store of a server the way a gateway does.
func open(url string, pipelined bool) (*redisstore.Store, error) {
	o := redisstore.Defaults()
	if o.URL = url; pipelined {
		o.URL += "?auto_pipeline=true"
	}
	return redisstore.New(o)
}

func longPolicy(change func(*session.Policy)) session.Policy {
	p := settings.DefaultApp().Long.Engine()
	if change != nil {
		change(&p)
	}
	return p
}

// fill makes sessions through the gateway's own script and keys, many at once
// and without HTTP.
func fill(ctx context.Context, url string, p plan) ([]seeded, error) {
	store, err := open(url, true)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	total := 0
	for u := range p.users {
		total += p.each(u)
	}
	f := &filler{plan: p, store: store, every: int64(max(1, total/max(p.keep, 1)))}
	var wg sync.WaitGroup
	for range fillers {
		wg.Go(func() {
			if err := f.work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	rand.Shuffle(len(f.kept), func(i, j int) { f.kept[i], f.kept[j] = f.kept[j], f.kept[i] })
	return f.kept, context.Cause(ctx)
}

type filler struct {
	plan
	store *redisstore.Store
	every int64 // one of so many is kept
	user  atomic.Int64
	made  atomic.Int64

	mu   sync.Mutex
	kept []seeded
}

func (f *filler) work(ctx context.Context) error {
	policy := longPolicy(f.policy)
	for ctx.Err() == nil {
		user := int(f.user.Add(1)) - 1
		if user >= f.users {
			return nil
		}
		owner := session.Owner{App: labApp, User: strconv.Itoa(f.first + user)}
		for range f.each(user) {
			if f.until != nil {
				policy.Lifetime = time.Until(f.until(user))
			}
			if err := f.create(ctx, owner, policy); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *filler) create(ctx context.Context, owner session.Owner, policy session.Policy) error {
	fresh := session.Session{ID: session.NewID(), Type: session.Long, Info: labInfo}
	made, err := f.store.Create(ctx, session.CreateStep{Owner: owner, Session: fresh, Policy: policy})
	if err != nil {
		return err
	}
	n := f.made.Add(1)
	if f.keep > 0 && n%f.every == 0 {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.kept = append(f.kept, seeded{owner, made.Session})
	}
	return nil
}

// refreshAll refreshes n sessions, going round, as many at once as workers say.
func refreshAll(ctx context.Context, store *redisstore.Store, all []seeded, n, workers int, policy session.Policy) error {
	return together(ctx, workers, func(worker int) error {
		for i, at := 0, worker; i < n/workers; i, at = i+1, at+workers {
			s := &all[at%(len(all)/workers*workers)] // each worker has sessions of its own
			done, err := store.Refresh(ctx, session.RefreshStep{
				Owner: s.Owner, ID: s.ID, Type: s.Type, Policy: policy,
				Presented: session.Presented{Generation: s.Generation, Expires: s.Expires},
			})
			if err != nil {
				return err
			}
			s.Session = done.Session
		}
		return nil
	})
}

// together runs work so many times at once and gives the first error.
func together(ctx context.Context, workers int, work func(worker int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			if err := work(worker); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
