package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"tokengate/lua"
	"tokengate/session"
)

// Directory implements [session.Directory] on the servers of a Store. It is safe
// for concurrent use, and by any number of processes.
type Directory struct {
	store *Store

	reserveUsername, confirmUsername, releaseUsername, putAccount, removeAccount, nextID *script
}

var _ session.Directory = (*Directory)(nil)

// Directory returns the users that the store's steps check.
func (s *Store) Directory() *Directory { return s.directory }

func newDirectory(s *Store) *Directory {
	return &Directory{
		store: s, reserveUsername: newScript(lua.ReserveUsername), confirmUsername: newScript(lua.ConfirmUsername),
		releaseUsername: newScript(lua.ReleaseUsername), putAccount: newScript(lua.PutAccount), removeAccount: newScript(lua.RemoveAccount),
		nextID: newScript(lua.NextID),
	}
}

// keys returns the keys of a user, or of a username, which has its own bucket.
func (d *Directory) keys(app, user string) ownerKeys {
	return d.store.schema.owner(session.Owner{App: app, User: user})
}

// FindAccount implements [session.Directory].
func (d *Directory) FindAccount(ctx context.Context, app, username string) (session.Account, error) {
	stored, err := d.readReservation(ctx, app, username)
	if err != nil {
		return session.Account{}, err
	}
	// If there is no reservation, this reads the account of an empty ID, which no user
	// has: an unknown username takes as long as a known one.
	a, err := d.read(ctx, app, stored.user())
	if err == nil && a.Username != username { // the user was renamed since, or has only reserved the name
		err = session.Fail(session.UserUnknown, nil)
	}
	return a, err
}

// Account implements [session.Directory].
func (d *Directory) Account(ctx context.Context, app string, id session.UserID) (session.Account, error) {
	return d.read(ctx, app, id.String())
}

// read returns the account with an ID. It is one command on one key, so it never sees
// parts of two writes.
func (d *Directory) read(ctx context.Context, app, id string) (session.Account, error) {
	fields, err := d.store.client.HGetAll(ctx, keyText(d.keys(app, id).addAccount)).Result()
	if err != nil {
		return session.Account{}, classify("find", err)
	}
	return parseAccount(fields)
}

// parseAccount parses the hash of an account; an empty one means that there is no
// account. Fields that a newer version has added are ignored. An invalid ID is a defect of
// the program that wrote it, so it fails with Internal and not with UserUnknown.
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
	copy(a.Credential[:], fields["credential"])
	return a, nil
}

// PutAccount implements [session.Directory]. After an error, the account may have been
// written. The script decides whether the stored account still equals was; the
// comparison before it only avoids a useless reservation.
func (d *Directory) PutAccount(ctx context.Context, app string, a, was session.Account) (session.Durability, error) {
	id := a.ID.String()
	stored, err := d.read(ctx, app, id)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return "", err
	}
	if err := was.CheckUnchanged(stored); err != nil {
		return "", err
	}
	if was.ID.IsZero() {
		return d.putReserving(ctx, app, a, was)
	}
	former, err := d.readReservation(ctx, app, was.Username)
	if err != nil {
		return "", err
	}
	reserved := former.user() == id // false if a failover has lost the reservation
	if reserved && was.Username == a.Username {
		return d.write(ctx, app, a, was, "")
	}
	durability, err := d.putReserving(ctx, app, a, was)
	if err == nil && reserved && was.Username != a.Username {
		d.release(ctx, app, was.Username, former)
	}
	return durability, err
}

// write writes an account in place of was. If the username is new, it needs the key of
// the reservation res.
func (d *Directory) write(ctx context.Context, app string, a, was session.Account, res reservation) (session.Durability, error) {
	id := a.ID.String()
	c, keys := newCall(), d.keys(app, id)
	keys.addAccount(c)
	keys.addUsers(c)
	keys.addReservation(c, res.number())
	c.endKeys()
	c.add(id)
	c.addAccountFields(a)
	c.addAccountFields(was)
	r, err := d.store.run(ctx, d.putAccount, c, ownWrites)
	if err != nil {
		return "", err
	}
	return r.replicas.written(), nil
}

// addAccountFields adds the values of an account's hash. Those of the zero Account are
// empty, like the fields of a hash that does not exist.
func (c *call) addAccountFields(a session.Account) {
	if a.ID.IsZero() {
		for range 6 {
			c.add("")
		}
		return
	}
	c.add(string(a.ID.AppendJSON(nil)))
	c.add(a.Username)
	c.add(a.Password)
	c.addBool(a.Active)
	c.add(string(a.Claims))
	c.add(string(a.Credential[:]))
}

// RemoveAccount implements [session.Directory]. It reads the reservation of the
// username first and deletes it last. If the user is renamed in between, the name that
// the script returns has another reservation, and release deletes nothing.
func (d *Directory) RemoveAccount(ctx context.Context, app string, id session.UserID) (session.Durability, error) {
	stored, err := d.read(ctx, app, id.String())
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return "", err
	}
	former, err := d.readReservation(ctx, app, stored.Username)
	if err != nil {
		return "", err
	}
	c, keys := newCall(), d.keys(app, id.String())
	keys.addAccount(c)
	keys.addUsers(c)
	c.endKeys()
	c.add(id.String())
	r, err := d.store.run(ctx, d.removeAccount, c, ownWrites)
	if err != nil {
		return "", err
	}
	name, _ := element[string](r.elements, 1)
	if former.user() == id.String() {
		d.release(ctx, app, name, former)
	}
	return r.replicas.written(), nil
}

// NextID implements [session.Directory]. The counter is in the app's first bucket.
func (d *Directory) NextID(ctx context.Context, app string, above int64) (int64, error) {
	if above >= session.MaxNextID {
		return 0, session.Fail(session.UserExists, errNoNumber)
	}
	c := newCall()
	keys := d.store.schema.bucket(app, 0)
	keys.addLastID(c)
	keys.addProbe(c)
	c.endKeys()
	c.addInt(max(above, 0))
	r, err := d.store.run(ctx, d.nextID, c, ownWrites)
	if err != nil {
		return 0, err
	}
	id, ok := element[int64](r.elements, 1)
	switch {
	case !ok:
		return 0, session.Fail(session.Internal, errReply)
	case id > session.MaxNextID: // the script no longer counts from here on
		return 0, session.Fail(session.UserExists, errNoNumber)
	}
	return id, nil
}

var errNoNumber = errors.New("no integer id is left")

// accountsPerPipeline bounds how many accounts Accounts reads in one round trip.
const accountsPerPipeline = 1000

// Accounts implements [session.Directory]. It is not atomic: an account that is
// written at the same time may be missing.
func (d *Directory) Accounts(ctx context.Context, app string) ([]session.Account, error) {
	ids, err := d.userIDs(ctx, app)
	if err != nil {
		return nil, err
	}
	var all []session.Account
	for chunk := range slices.Chunk(ids, accountsPerPipeline) {
		if all, err = d.appendAccounts(ctx, all, app, chunk); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b session.Account) int { return cmp.Compare(a.Username, b.Username) })
	return all, nil
}

// userIDs returns the IDs of an app's users, in one round trip per server. Each bucket
// has a set of them, because the alternative, SCAN, goes through all keys of all apps.
func (d *Directory) userIDs(ctx context.Context, app string) ([]string, error) {
	pipe := d.store.client.Pipeline()
	sets := make([]*redis.StringSliceCmd, buckets)
	for n := range sets {
		sets[n] = pipe.SMembers(ctx, keyText(d.store.schema.bucket(app, uint32(n)).addUsers))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, classify("accounts", err)
	}
	var ids []string
	for _, cmd := range sets {
		ids = append(ids, cmd.Val()...)
	}
	return ids, nil
}

// appendAccounts appends the accounts with the given IDs to list.
func (d *Directory) appendAccounts(ctx context.Context, list []session.Account, app string, ids []string) ([]session.Account, error) {
	pipe := d.store.client.Pipeline()
	hashes := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		hashes[i] = pipe.HGetAll(ctx, keyText(d.keys(app, id).addAccount))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, classify("accounts", err)
	}
	for _, cmd := range hashes {
		a, err := parseAccount(cmd.Val())
		switch session.CodeOf(err) {
		case session.OK:
			list = append(list, a)
		case session.UserUnknown: // removed since userIDs
		default:
			return nil, err
		}
	}
	return list, nil
}
