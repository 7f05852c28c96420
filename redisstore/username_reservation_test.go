package redisstore_test

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// usernameKey returns the Redis key of a username. The key must exist.
func usernameKey(t *testing.T, srv *redistest.Server, name string) string {
	t.Helper()
	for _, k := range keys(srv) {
		if strings.HasSuffix(k, ":username:"+name) {
			return k
		}
	}
	t.Fatalf("no username key of %s among %q", name, keys(srv))
	return ""
}

// TestReservations checks that a reservation without its user finds no user and is
// replaced, and that a lost reservation is written again.
func TestReservations(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	ann, bob := account(1, "ann"), account(2, "ann")
	put(t, s, ann)
	key := usernameKey(t, srv, "ann")
	if got := ttl(t, srv, key); got >= 0 {
		t.Errorf("the username key expires in %s, want never", got)
	}
	if err := replace(s, bob); session.CodeOf(err) != session.UserExists {
		t.Errorf("PutAccount of another user's name: got %v, want %s", err, session.UserExists)
	}
	srv.Do("DEL", key) // as a failover may lose it
	put(t, s, ann)
	if got, err := s.Directory().FindAccount(ctx, "shop", "ann"); err != nil || got.ID != ann.ID {
		t.Errorf("FindAccount after the reservation was lost: got %+v, %v; want user %s", got, err, ann.ID)
	}

	put(t, s, account(1, "anna"))
	for _, left := range []string{"1|of a rename", "7|of a new user", "1"} {
		srv.Do("SET", key, left)
		if _, err := s.Directory().FindAccount(ctx, "shop", "ann"); session.CodeOf(err) != session.UserUnknown {
			t.Errorf("FindAccount by reservation %q: got %v, want %s", left, err, session.UserUnknown)
		}
		put(t, s, bob)
		if got, err := s.Directory().FindAccount(ctx, "shop", "ann"); err != nil || got.ID != bob.ID {
			t.Errorf("FindAccount after reservation %q was replaced: got %+v, %v; want user %s", left, got, err, bob.ID)
		}
		if _, err := s.Directory().RemoveAccount(ctx, "shop", bob.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Directory().RemoveAccount(ctx, "shop", ann.ID); err != nil {
		t.Error(err)
	}
	for _, left := range keys(srv) {
		if !strings.Contains(left, ":reservation:") || ttl(t, srv, left) < 0 || ttl(t, srv, left) > time.Minute {
			t.Errorf("key left: %q, want only reservation keys, which expire within a minute", left)
		}
	}
}

// interruption is a change of an account during which something else happens.
type interruption struct {
	before    []session.Account // of user 1, written one after the other
	left      []string          // what a lost step has left at the username key of x: the arguments of SET
	change    func(ctx context.Context, s *redisstore.Store) (session.Durability, error)
	script    string // meanwhile is called after this script of change
	meanwhile func(s *redisstore.Store, cancel func()) error
	want      session.Code // of change
}

var (
	noAccount    = session.Account{}
	one, renamed = account(1, "x"), account(1, "y")
	two          = account(2, "x")
)

// changeTo returns a change that puts a in place of was.
func changeTo(a, was session.Account) func(context.Context, *redisstore.Store) (session.Durability, error) {
	return func(ctx context.Context, s *redisstore.Store) (session.Durability, error) {
		return s.Directory().PutAccount(ctx, "shop", a, was)
	}
}

// meanwhilePut returns an event that puts a in place of was.
func meanwhilePut(a, was session.Account) func(*redisstore.Store, func()) error {
	return func(s *redisstore.Store, _ func()) error {
		_, err := s.Directory().PutAccount(ctx, "shop", a, was)
		return err
	}
}

// TestInterruptedChanges checks that after each interruption user 1 has the name x, and
// no other user can take it.
func TestInterruptedChanges(t *testing.T) {
	remove := func(ctx context.Context, s *redisstore.Store) (session.Durability, error) {
		return s.Directory().RemoveAccount(ctx, "shop", one.ID)
	}
	for name, c := range map[string]interruption{
		"caller is cancelled after the write": {
			change: changeTo(one, noAccount), script: "put_account",
			meanwhile: func(_ *redisstore.Store, cancel func()) error { cancel(); return nil }},
		"own reservation was about to expire": {
			left: []string{"1", "PX", "50"}, change: changeTo(one, noAccount), script: "reserve_username",
			meanwhile: func(*redisstore.Store, func()) error { time.Sleep(60 * time.Millisecond); return nil }},
		"user takes a name back after confirm for another user": {
			before: []session.Account{one, renamed}, left: []string{"1|former"}, change: changeTo(two, noAccount), script: "confirm_username",
			meanwhile: meanwhilePut(one, renamed), want: session.UserExists},
		"user takes a name back before its release": {
			before: []session.Account{one}, change: changeTo(renamed, one), script: "put_account", meanwhile: meanwhilePut(one, renamed)},
		"removed user is created again before the release": {
			before: []session.Account{one}, change: remove, script: "remove_account", meanwhile: meanwhilePut(one, noAccount)},
	} {
		t.Run(name, func(t *testing.T) { c.run(t, redistest.Standalone(t)) })
	}
}

func (c interruption) run(t *testing.T, srv *redistest.Server) {
	s := open(t, srv.URL)
	put(t, s, one)
	key := usernameKey(t, srv, "x")
	if _, err := s.Directory().RemoveAccount(ctx, "shop", one.ID); err != nil {
		t.Fatal(err)
	}
	for _, a := range c.before {
		put(t, s, a)
	}
	if c.left != nil {
		srv.Do(append([]string{"SET", key}, c.left...)...)
	}
	cancellable, cancel := context.WithCancel(ctx)
	defer cancel()
	var once sync.Once
	interrupted := open(t, srv.URL, func(o *redisstore.Options) {
		o.Observe = func(script string, _ session.Code, _ time.Duration) {
			if script != c.script {
				return
			}
			once.Do(func() {
				if err := c.meanwhile(s, cancel); err != nil {
					t.Errorf("meanwhile: %v", err)
				}
			})
		}
	})
	if _, err := c.change(cancellable, interrupted); session.CodeOf(err) != cmp.Or(c.want, session.OK) {
		t.Errorf("change: got %v, want %s", err, cmp.Or(c.want, session.OK))
	}
	if got := ttl(t, srv, key); got >= 0 {
		t.Errorf("the username key expires in %s, want never", got)
	}
	if err := replace(s, two); session.CodeOf(err) != session.UserExists {
		t.Errorf("PutAccount of another user with the name: got %v, want %s", err, session.UserExists)
	}
	if got, err := s.Directory().FindAccount(ctx, "shop", "x"); err != nil || got.ID != one.ID {
		t.Errorf("FindAccount: got %+v, %v; want user %s", got, err, one.ID)
	}
}
