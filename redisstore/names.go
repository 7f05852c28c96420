package redisstore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// A user and the user's name are in different slots, so that they can't be
// written in one step. Who is to have a name that is not yet his gets it so:
//
//  1. A permit is written beside the user, under a number used this once.
//  2. The claim, user and number, is written at the name, if none is there.
//  3. A claim that is there stands if its user has the name (confirm). If not,
//     its permit is deleted in the same step, and it alone is written over.
//  4. The user is written if the permit is still there, and uses it up.
//  5. The claim to his former name is deleted, if it is the one that he had.
//
// So whoever has a name has the claim at it, and no two users ever have one: he
// was written while his permit was there, so while his claim was, and who asks
// since then finds that he has the name. 3 and 5 compare claims whole, and none
// is ever written twice, so what they write over or delete has been there since
// they looked. No clock decides; a step that is lost, or runs late, changes
// none of this.
//
// What a lost step or a crash leaves is a claim whose user has not the name. It
// finds nobody, and is written over when somebody wants the name; until then it
// costs a hundred bytes. The price of all this: of two who want a name at once
// the first may be refused, and a failover may lose a claim. Against that there
// is Options.WaitReplicas, and a Put of the same user writes it anew.

// permitLife is how long a Put may take.
const permitLife = time.Minute

// claim is what is at a name: "user|number".
type claim string

func newClaim(user string) claim { return claim(user + "|" + string(session.NewID())) }

func (c claim) user() string   { return string(c[:c.bar()]) }
func (c claim) number() string { return strings.TrimPrefix(string(c[c.bar():]), "|") }

// bar is where the user ends; a user's ID may have bars in it.
func (c claim) bar() int {
	if i := strings.LastIndexByte(string(c), '|'); i >= 0 {
		return i
	}
	return len(c)
}

// claimTo reads what is at a name; empty if nothing.
func (s *Store) claimTo(ctx context.Context, app, username string) (claim, error) {
	name := newCall()
	s.account(app, username).name(name)
	held, err := s.client.Get(ctx, string(name.buf)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", classify("find", err)
	}
	return claim(held), nil
}

// name writes a user with a name that is not yet his. In a Cluster the claim is on
// another server than the user, so each step waits for replicas of its own.
func (s *Store) name(ctx context.Context, app string, a, was session.Account) (session.Durability, error) {
	mine := newClaim(a.ID.String())
	if err := s.allow(ctx, app, mine); err != nil {
		return "", err
	}
	claimed, err := s.claimName(ctx, app, mine, a.Username, was)
	if err != nil {
		return "", err
	}
	written, err := s.write(ctx, app, a, was, mine)
	if code := session.CodeOf(err); code == session.UserExists || code == session.UserUnknown {
		s.giveUp(ctx, app, a.Username, mine) // he is not written by it, and won't be
	}
	return claimed.And(written), err
}

// allow writes a claim's permit, once: a second one, run late, would allow again
// what has been forbidden since.
func (s *Store) allow(ctx context.Context, app string, mine claim) error {
	key := newCall()
	s.account(app, mine.user()).permit(key, mine.number())
	cmd := redis.NewCmd(ctx, "set", string(key.buf), "1", "px", permitLife.Milliseconds())
	if err := s.client.Process(ctx, once{cmd}); err != nil {
		return classify("put", err)
	}
	return nil
}

// claimName writes a claim, also over the claim of somebody who has not the name.
func (s *Store) claimName(ctx context.Context, app string, mine claim, username string, was session.Account) (session.Durability, error) {
	r, err := s.runName(ctx, s.claim, true, app, username, string(mine), "")
	if session.CodeOf(err) != session.UserExists {
		return r.durability, err
	}
	text, _ := at[string](r.rest, 1)
	held := claim(text)
	confirmed, err := s.confirmName(ctx, app, held, username)
	switch {
	case err == nil && held.user() == mine.user(): // by another Put, so that he is not who was read
		return "", was.Still(session.Account{Username: username})
	case err == nil:
		return "", session.Fail(session.UserExists, nil)
	case session.CodeOf(err) != session.UserUnknown:
		return "", err
	}
	r, err = s.runName(ctx, s.claim, true, app, username, string(mine), string(held))
	if session.CodeOf(err) == session.UserExists { // another was faster
		return "", session.Fail(session.UserExists, nil)
	}
	return confirmed.And(r.durability), err
}

// confirmName tells whether the user of a claim has the name. UserUnknown: no, and
// he won't get it by this claim.
func (s *Store) confirmName(ctx context.Context, app string, held claim, username string) (session.Durability, error) {
	c, k := newCall(), s.account(app, held.user())
	k.account(c)
	k.permit(c, held.number())
	c.endKeys()
	c.text(username)
	r, err := s.run(ctx, s.confirm, c, true)
	return r.durability, err
}

// giveUp deletes a claim that its user has no name by. If that fails, whoever
// wants the name next does it.
func (s *Store) giveUp(ctx context.Context, app, username string, held claim) {
	_, _ = s.runName(ctx, s.release, false, app, username, string(held))
}

// runName runs a script about a name.
func (s *Store) runName(ctx context.Context, sc *script, durable bool, app, username string, args ...string) (reply, error) {
	c := newCall()
	s.account(app, username).name(c)
	c.endKeys()
	for _, a := range args {
		c.text(a)
	}
	return s.run(ctx, sc, c, durable)
}
