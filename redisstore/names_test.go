package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// This file has the protocol of names.go run in chosen orders of its commands. It
// is inside the package, since what comes between two commands must hook into
// the client.

// errLost is what a caller hears of a command whose answer does not come.
var errLost = errors.New("the connection is lost")

// fate is what becomes of a command.
type fate int

const (
	done fate = iota
	lost      // it is not run
	mute      // it is run, and the caller doesn't hear of it
	late      // as mute, some time after the caller has given it up
)

// stage lets one command at a time happen, of those that its actors wait with.
type stage struct {
	random *rand.Rand
	losses int
	asked  chan *actor
	ready  []*actor
	later  []redis.Cmder
}

// actor is one process that changes users; its context leads the client to it.
type actor struct {
	stage *stage
	cmd   redis.Cmder // nil: has nothing more to do
	fates chan fate
}

type actorKey struct{}

// hook has the commands of actors wait for their turn.
type hook struct{}

func (hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		a, _ := ctx.Value(actorKey{}).(*actor)
		if a == nil {
			return next(ctx, cmd)
		}
		a.cmd = cmd
		a.stage.asked <- a
		switch <-a.fates {
		case done:
			return next(ctx, cmd)
		case mute:
			_ = next(ctx, cmd)
		}
		cmd.SetErr(errLost)
		return errLost
	}
}

// enter starts an actor.
func (g *stage) enter(act func(ctx context.Context)) {
	a := &actor{stage: g, fates: make(chan fate)}
	go func() {
		act(context.WithValue(context.Background(), actorKey{}, a))
		a.cmd = nil
		g.asked <- a
	}()
	g.await()
}

// await waits until the one actor that is at work waits or has ended.
func (g *stage) await() {
	if a := <-g.asked; a.cmd != nil {
		g.ready = append(g.ready, a)
	}
}

// step has one command happen, of an actor's or one that comes late; false when
// there are none.
func (g *stage) step(late func(cmd redis.Cmder)) bool {
	n := len(g.ready) + len(g.later)
	if n == 0 {
		return false
	}
	if i := g.random.IntN(n) - len(g.ready); i >= 0 {
		cmd := g.later[i]
		g.later = append(g.later[:i:i], g.later[i+1:]...)
		late(cmd)
		return true
	}
	i := g.random.IntN(len(g.ready))
	a := g.ready[i]
	g.ready = append(g.ready[:i:i], g.ready[i+1:]...)
	a.fates <- g.fate(a.cmd)
	g.await()
	return true
}

// fate lets some commands get lost.
func (g *stage) fate(cmd redis.Cmder) fate {
	if g.losses == 0 || g.random.IntN(8) > 0 {
		return done
	}
	g.losses--
	f := fate(1 + g.random.IntN(3))
	if f == late {
		g.later = append(g.later, redis.NewCmd(context.Background(), cmd.Args()...))
	}
	return f
}

// play is some actors at the users of one app, whose name is the seed's.
type play struct {
	*testing.T
	*Store
	stage
	app string
}

func (p *play) ids() []session.UserID {
	return []session.UserID{session.NumberID(1), session.NumberID(2)}
}

// act does one random thing to one random user, resting on what is read first.
func (p *play) act(ctx context.Context, what int, id session.UserID, name string) {
	was, err := p.Account(ctx, p.app, id)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return
	}
	if what == 0 {
		_, _ = p.Remove(ctx, p.app, id)
		return
	}
	a := session.Account{ID: id, Username: name, Password: was.Password, Active: true}
	_, _ = p.Put(ctx, p.app, a, was)
}

// unique wants no two users of one name, at any moment.
func (p *play) unique() {
	p.Helper()
	names := map[string]session.UserID{}
	for _, id := range append(p.ids(), session.NumberID(3)) {
		a, err := p.Account(context.Background(), p.app, id)
		if session.CodeOf(err) == session.UserUnknown {
			continue
		}
		if other, taken := names[a.Username]; err != nil || taken {
			p.Fatalf("%s: users %s and %s are both %q: %v", p.app, other, id, a.Username, err)
		}
		names[a.Username] = id
	}
}

// whole wants every user to be found and changed by name, and every other name to
// be anybody's.
func (p *play) whole(names ...string) {
	p.Helper()
	ctx := context.Background()
	all, err := p.Accounts(ctx, p.app)
	if err != nil {
		p.Fatal(err)
	}
	free := map[string]bool{}
	for _, name := range names {
		free[name] = true
	}
	for _, a := range all {
		free[a.Username] = false
		if found, err := p.Find(ctx, p.app, a.Username); err != nil || found.ID != a.ID {
			p.Fatalf("%s: %q finds %v, not %v: %v", p.app, a.Username, found.ID, a.ID, err)
		}
		other := a
		other.Active = false
		if _, err := p.Put(ctx, p.app, other, a); err != nil {
			p.Fatalf("%s: %q can't be disabled: %v", p.app, a.Username, err)
		}
	}
	for _, name := range names {
		if _, err := p.Put(ctx, p.app, session.Account{ID: session.TextID(name), Username: name}, session.Account{}); (err == nil) != free[name] {
			p.Fatalf("%s: %q is free: %t; a new user gets it: %v", p.app, name, free[name], err)
		}
	}
}

// plays are enough for each fault that was tried in the protocol to show, all but
// two of them within the first 30.
const plays = 500

// TestNamesInAnyOrder: no order of commands, and no loss, gives two users one
// name, or leaves a user or a name that can't be used.
func TestNamesInAnyOrder(t *testing.T) {
	o := Defaults()
	o.URL = redistest.Standalone(t).URL
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.client.AddHook(hook{})
	for seed := range uint64(plays) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := &play{t, s, stage{random: random, losses: random.IntN(4), asked: make(chan *actor)}, fmt.Sprint("app", seed)}
		for _, id := range p.ids() {
			p.act(context.Background(), random.IntN(3), id, "xy"[random.IntN(2):][:1])
		}
		for range 3 {
			type deed struct {
				what int
				id   session.UserID
				name string
			}
			var deeds []deed
			for range 1 + random.IntN(3) {
				deeds = append(deeds, deed{random.IntN(5), p.ids()[random.IntN(2)], "xy"[random.IntN(2):][:1]})
			}
			p.enter(func(ctx context.Context) {
				for _, d := range deeds {
					p.act(ctx, d.what, d.id, d.name)
				}
			})
		}
		for p.step(func(cmd redis.Cmder) { _ = s.client.Process(context.Background(), cmd) }) {
			p.unique()
		}
		p.whole("x", "y")
	}
}
