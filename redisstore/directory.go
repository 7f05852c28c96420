package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// account is the user of an app with this id, where its keys are.
func (s *Store) account(app, id string) owner {
	return s.schema.owner(session.Owner{App: app, User: id})
}

// Find is session.Directory's.
func (s *Store) Find(ctx context.Context, app, username string) (session.Account, error) {
	held, err := s.claimTo(ctx, app, username)
	if err != nil {
		return session.Account{}, err
	}
	a, err := s.read(ctx, app, held.user())   // also without an id, which nobody has: as long for a name that is not there
	if err == nil && a.Username != username { // he has another name by now, or not yet this one
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

// Put is session.Directory's. After an error the user may have been written. The
// script decides; the look before it spares the name a claim in vain.
func (s *Store) Put(ctx context.Context, app string, a, was session.Account) (session.Durability, error) {
	id := a.ID.String()
	held, err := s.read(ctx, app, id)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return "", err
	}
	if err := was.Still(held); err != nil {
		return "", err
	}
	if was.ID.IsZero() {
		return s.name(ctx, app, a, was)
	}
	former, err := s.claimTo(ctx, app, was.Username)
	if err != nil {
		return "", err
	}
	holds := former.user() == id
	if holds && was.Username == a.Username {
		return s.write(ctx, app, a, was, "")
	}
	durability, err := s.name(ctx, app, a, was)
	if err == nil && holds && was.Username != a.Username {
		s.giveUp(ctx, app, was.Username, former)
	}
	return durability, err
}

// write writes a user; a claim's permit is needed where the name is another.
func (s *Store) write(ctx context.Context, app string, a, was session.Account, by claim) (session.Durability, error) {
	id := a.ID.String()
	c, k := newCall(), s.account(app, id)
	k.account(c)
	k.users(c)
	k.permit(c, by.number())
	c.endKeys()
	c.text(id)
	c.user(a)
	c.user(was)
	r, err := s.run(ctx, s.put, c, true)
	return r.durability, err
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

// Remove is session.Directory's. The script decides; what is read before it is the
// claim to the name, which is his if he still has the name when he goes.
func (s *Store) Remove(ctx context.Context, app string, id session.UserID) (session.Durability, error) {
	held, err := s.read(ctx, app, id.String())
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return "", err
	}
	former, err := s.claimTo(ctx, app, held.Username)
	if err != nil {
		return "", err
	}
	c, k := newCall(), s.account(app, id.String())
	k.account(c)
	k.users(c)
	c.endKeys()
	c.text(id.String())
	r, err := s.run(ctx, s.remove, c, true)
	if err != nil {
		return "", err
	}
	name, _ := at[string](r.rest, 1)
	if former.user() == id.String() {
		s.giveUp(ctx, app, name, former)
	}
	return r.durability, nil
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
