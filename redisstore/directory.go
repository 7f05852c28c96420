package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// A user and the user's name are in different slots, so that they can't be
// written in one step. A name is first claimed for a while, then the user
// written, then the name confirmed: whatever fails in between, no two users
// ever have one name, and a Put in the place of what it left repairs it.

// claimLife is how long a Put may take.
const claimLife = time.Minute

// account is the user of an app with this id, where its keys are.
func (s *Store) account(app, id string) owner {
	return s.schema.owner(session.Owner{App: app, User: id})
}

// Find is session.Directory's.
func (s *Store) Find(ctx context.Context, app, username string) (session.Account, error) {
	name := newCall()
	s.account(app, username).name(name)
	id, err := s.client.Get(ctx, string(name.buf)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return session.Account{}, classify("find", err)
	}
	a, err := s.read(ctx, app, id)            // also without an id, which nobody has: as long for a name that is not there
	if err == nil && a.Username != username { // the name is left over from a Put that failed
		err = session.Fail(session.UserUnknown, nil)
	}
	return a, err
}

// Account is session.Directory's.
func (s *Store) Account(ctx context.Context, app string, id session.UserID) (session.Account, error) {
	return s.read(ctx, app, id.String())
}

// read gives a user by ID. It is one command on the user's slot, so it sees a
// user as one Put wrote it, never half of two.
func (s *Store) read(ctx context.Context, app, id string) (session.Account, error) {
	key := newCall()
	s.account(app, id).account(key)
	fields, err := s.client.HGetAll(ctx, string(key.buf)).Result()
	if err != nil {
		return session.Account{}, classify("find", err)
	}
	return parseAccount(fields)
}

// parseAccount reads a user's hash; one that isn't there is empty. An ID that
// can't be read is a defect of whatever wrote it, not an unknown user.
func parseAccount(fields map[string]string) (a session.Account, err error) {
	if len(fields) == 0 {
		return a, session.Fail(session.UserUnknown, nil)
	}
	if a.ID, err = session.ParseUserID([]byte(fields["id"])); err != nil {
		return a, session.Fail(session.Internal, fmt.Errorf("redis: find: %w", err))
	}
	a.Username, a.Password, a.Active = fields["name"], fields["password"], fields["active"] == "1"
	if claims := fields["claims"]; claims != "" {
		a.Claims = json.RawMessage(claims)
	}
	return a, nil
}

// Put is session.Directory's. After an error the user may have been written.
// The script decides; the look before it is for the name, which a Put that the
// script refuses leaves claimed for a while.
func (s *Store) Put(ctx context.Context, app string, a, was session.Account) error {
	id := a.ID.String()
	held, err := s.read(ctx, app, id)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return err
	}
	if err := was.Still(held); err != nil {
		return err
	}
	if err := s.claimName(ctx, app, id, a.Username); err != nil {
		return err
	}
	c, k := newCall(), s.account(app, id)
	k.account(c)
	k.users(c)
	c.endKeys()
	c.text(id)
	c.user(a)
	c.user(was)
	if _, err := s.run(ctx, s.put, c, false); err != nil {
		return err
	}
	if _, err := s.runName(ctx, s.confirm, app, id, a.Username); err != nil {
		return err
	}
	if was.ID.IsZero() || was.Username == a.Username {
		return nil
	}
	_, err = s.runName(ctx, s.release, app, id, was.Username)
	return err
}

// user adds the fields of a user's hash; those of nobody are empty, as they are
// to a script that finds no hash.
func (c *call) user(a session.Account) {
	if a.ID.IsZero() {
		for range 5 {
			c.text("")
		}
		return
	}
	c.text(string(a.ID.AppendJSON(nil)))
	c.text(a.Username)
	c.text(a.Password)
	c.flag(a.Active)
	c.text(string(a.Claims))
}

// claimName claims a name, also from a user who goes by another one by now.
func (s *Store) claimName(ctx context.Context, app, id, username string) error {
	r, err := s.runName(ctx, s.claim, app, id, username, claimLife.Milliseconds(), "")
	holder, _ := at[string](r.rest, 1)
	if session.CodeOf(err) != session.UserExists || holder == "" {
		return err
	}
	has, readErr := s.read(ctx, app, holder)
	if code := session.CodeOf(readErr); code != session.OK && code != session.UserUnknown {
		return readErr
	}
	if has.Username == username {
		return session.Fail(session.UserExists, nil)
	}
	_, err = s.runName(ctx, s.claim, app, id, username, claimLife.Milliseconds(), holder)
	return err
}

// runName runs a script about a name and the user with an id.
func (s *Store) runName(ctx context.Context, sc *script, app, id, username string, more ...any) (reply, error) {
	c := newCall()
	s.account(app, username).name(c)
	c.endKeys()
	c.text(id)
	for _, m := range more {
		c.text(fmt.Sprint(m))
	}
	return s.run(ctx, sc, c, false)
}

// Remove is session.Directory's. The user goes first: a name that is left over
// by an error finds nobody, and the next Put of that name takes it.
func (s *Store) Remove(ctx context.Context, app string, id session.UserID) error {
	c, k := newCall(), s.account(app, id.String())
	k.account(c)
	k.users(c)
	c.endKeys()
	c.text(id.String())
	r, err := s.run(ctx, s.remove, c, false)
	if err != nil {
		return err
	}
	name, _ := at[string](r.rest, 1)
	_, err = s.runName(ctx, s.release, app, id.String(), name)
	return err
}

// accountsAtOnce bounds how much of a directory one pipeline asks for.
const accountsAtOnce = 1000

// Accounts is session.Directory's. It is not one step: a user who is written
// meanwhile may be missing.
func (s *Store) Accounts(ctx context.Context, app string) ([]session.Account, error) {
	ids, err := s.userIDs(ctx, app)
	if err != nil {
		return nil, err
	}
	var all []session.Account
	for some := range slices.Chunk(ids, accountsAtOnce) {
		if all, err = s.readAll(ctx, all, app, some); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b session.Account) int { return cmp.Compare(a.Username, b.Username) })
	return all, nil
}

// userIDs reads every bucket's index, in one round trip per server. The indexes
// exist so that nothing ever has to SCAN, whose cost is all keys of all apps.
func (s *Store) userIDs(ctx context.Context, app string) ([]string, error) {
	pipe := s.client.Pipeline()
	found := make([]*redis.StringSliceCmd, buckets)
	for n := range found {
		key := newCall()
		owner{head: s.schema.bucket(app, uint32(n))}.users(key)
		found[n] = pipe.SMembers(ctx, string(key.buf))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, classify("accounts", err)
	}
	var ids []string
	for _, cmd := range found {
		ids = append(ids, cmd.Val()...)
	}
	return ids, nil
}

// readAll adds the users with some IDs to all.
func (s *Store) readAll(ctx context.Context, all []session.Account, app string, ids []string) ([]session.Account, error) {
	pipe := s.client.Pipeline()
	found := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		key := newCall()
		s.account(app, id).account(key)
		found[i] = pipe.HGetAll(ctx, string(key.buf))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, classify("accounts", err)
	}
	for _, cmd := range found {
		a, err := parseAccount(cmd.Val())
		switch session.CodeOf(err) {
		case session.OK:
			all = append(all, a)
		case session.UserUnknown: // removed since
		default:
			return nil, err
		}
	}
	return all, nil
}
