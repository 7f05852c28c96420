package redisstore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// A username and its user are in different slots, so no script can write both. Two
// keys keep usernames unique:
//
//   - The username key, in the name's slot, holds a reservation "user|number": the
//     user has the name, or is about to get it. The number is random, and no other
//     reservation has it.
//   - The reservation key, in the user's slot, has the number in its name. While it
//     exists, one write may give the user the reserved name. That write deletes it,
//     and so does a cancellation of the reservation.
//
// A user gets a new name in these steps:
//
//  1. Write the reservation key (writeReservationKey).
//  2. Write the reservation at the username key if there is none (reserve).
//  3. If there is another reservation, ask in the slot of its user whether that user
//     has the name (confirm). If they have, the name is taken. If not, the same
//     script cancels that reservation by deleting its reservation key, and then the
//     new reservation replaces it at the username key.
//  4. Write the user if the reservation key still exists, and delete the key (write).
//  5. Delete the reservation of the user's former name (release).
//
// This keeps two promises: the username key of a user's name holds that user's
// reservation, and no two users have the same name. A user is written only while the
// reservation key exists. By then the reservation has not been cancelled, so it has not
// been replaced either. From then on confirm finds that the user has the name, so the
// reservation is not replaced later. Steps 3 and 5 replace or delete only the exact
// value that they have read. As no reservation is written twice, it has been there all
// the time. No step depends on a clock, and the promises hold if a step is lost or runs
// late.
//
// A lost step or a crash may leave a reservation whose user does not have the name. No
// user is found by it, and the next user to take the name replaces it. Until then it
// takes about a hundred bytes.
//
// The price: if two users want a name at the same time, the first one may be refused.
// A failover may lose a reservation; Options.WaitReplicas guards against that, and the
// next PutAccount of the user writes it again.

// reservation is the value of a username key, "user|number". It is empty if there is
// no such key.
type reservation string

func newReservation(user string) reservation {
	return reservation(user + "|" + string(session.NewID()))
}

func (r reservation) user() string   { return string(r[:r.separator()]) }
func (r reservation) number() string { return strings.TrimPrefix(string(r[r.separator():]), "|") }

// separator returns the index of the last "|". A user's ID may have others in it.
func (r reservation) separator() int {
	if i := strings.LastIndexByte(string(r), '|'); i >= 0 {
		return i
	}
	return len(r)
}

// readReservation returns the reservation of a username.
func (d *Directory) readReservation(ctx context.Context, app, username string) (reservation, error) {
	value, err := d.store.client.Get(ctx, keyText(d.keys(app, username).addUsername)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", classify("find", err)
	}
	return reservation(value), nil
}

// putReserving writes an account after reserving its username: steps 1 to 4. In a
// Cluster, the username key may be on another server than the user, so reserve and
// write each wait for replicas.
func (d *Directory) putReserving(ctx context.Context, app string, a, was session.Account) (session.Durability, error) {
	res := newReservation(a.ID.String())
	if err := d.writeReservationKey(ctx, app, res); err != nil {
		return "", err
	}
	reserved, err := d.reserve(ctx, app, res, a.Username, was)
	if err != nil {
		return "", err
	}
	written, err := d.write(ctx, app, a, was, res)
	if code := session.CodeOf(err); code == session.UserExists || code == session.UserUnknown {
		d.release(ctx, app, a.Username, res) // the user was not written, and will not be
	}
	return reserved.And(written), err
}

// reservationTimeout is the longest time that PutAccount may take from step 1 to 4.
const reservationTimeout = time.Minute

// writeReservationKey is step 1. The client must not repeat it: if the second SET ran
// late, it would restore the key of a reservation that was cancelled since the first.
func (d *Directory) writeReservationKey(ctx context.Context, app string, res reservation) error {
	key := newCall()
	d.keys(app, res.user()).addReservation(key, res.number())
	cmd := redis.NewCmd(ctx, "set", string(key.buf), "1", "px", reservationTimeout.Milliseconds())
	if err := d.store.client.Process(ctx, noRetryCmd{cmd, ctx}); err != nil {
		return classify("put", err)
	}
	return nil
}

// reserve is steps 2 and 3: it writes a reservation at the username key, unless
// another user has the name.
func (d *Directory) reserve(ctx context.Context, app string, res reservation, username string, was session.Account) (session.Durability, error) {
	r, err := d.runUsernameScript(ctx, d.reserveUsername, ownWrites, app, username, string(res), "")
	switch session.CodeOf(err) {
	case session.OK:
		return r.replicas.written(), nil
	case session.UserExists:
	default:
		return "", err
	}
	value, _ := element[string](r.elements, 1)
	stored := reservation(value)
	confirmed, err := d.confirm(ctx, app, stored, username)
	switch {
	case err == nil && stored.user() == res.user(): // another PutAccount has given this user the name, so was is out of date
		return "", was.CheckUnchanged(session.Account{Username: username})
	case err == nil:
		return "", session.Fail(session.UserExists, nil)
	case session.CodeOf(err) != session.UserUnknown:
		return "", err
	}
	r, err = d.runUsernameScript(ctx, d.reserveUsername, ownWrites, app, username, string(res), string(stored))
	switch session.CodeOf(err) {
	case session.OK:
		return confirmed.And(r.replicas.written()), nil
	case session.UserExists: // another PutAccount was faster
		return "", session.Fail(session.UserExists, nil)
	}
	return "", err
}

// confirm returns nil if the user of a reservation has the username. If not, it cancels
// the reservation and fails with UserUnknown.
func (d *Directory) confirm(ctx context.Context, app string, res reservation, username string) (session.Durability, error) {
	c, keys := newCall(), d.keys(app, res.user())
	keys.addAccount(c)
	keys.addReservation(c, res.number())
	c.endKeys()
	c.add(username)
	r, err := d.store.run(ctx, d.confirmUsername, c, ownWrites)
	if session.CodeOf(err) == session.UserUnknown {
		return r.replicas.written(), err
	}
	return "", err
}

// release deletes a reservation whose user does not have the username. An error has no
// consequence: the next user that wants the name replaces the reservation.
func (d *Directory) release(ctx context.Context, app, username string, res reservation) {
	_, _ = d.runUsernameScript(ctx, d.releaseUsername, noReplicas, app, username, string(res))
}

// runUsernameScript runs a script on a username key.
func (d *Directory) runUsernameScript(ctx context.Context, sc *script, wait waitFor, app, username string, args ...string) (reply, error) {
	c := newCall()
	d.keys(app, username).addUsername(c)
	c.endKeys()
	for _, a := range args {
		c.add(a)
	}
	return d.store.run(ctx, sc, c, wait)
}
