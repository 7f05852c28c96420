// Package redisstore keeps sessions in Redis: standalone, behind Sentinel, or a
// Cluster. It is the only package that knows the Redis client.
//
// Each step is one script of package lua, run on the keys of one user, which
// share a slot; keys.go is the schema. A step costs one round trip, and two
// when Redis has lost its scripts. The client never repeats a step by itself:
// a second run is not the same as a late answer.
//
// Whatever keeps Redis from answering is session.Unavailable; only a reply that
// can't be is session.Internal.
package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/lua"
	"tokengate/session"
)

// Store is a session.Store, session.Ledger, session.Feed and session.Directory.
// It is safe for concurrent use, and by any number of processes.
type Store struct {
	o        Options
	client   redis.UniversalClient
	pipeline *redis.AutoPipeliner // nil: each step on a connection of its own
	schema   schema
	replicas replicasByNode
	// trailHead is what every trail begins with; see lua/lib.lua.
	trailHead string

	create, refresh, list, end, others, logout, live, traces, epoch *script
	claim, confirm, release, put, remove                            *script
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.Ledger    = (*Store)(nil)
	_ session.Feed      = (*Store)(nil)
	_ session.Directory = (*Store)(nil)
)

// New checks o and makes a Store of it. It doesn't connect: see Ping.
func New(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	redis.SetLogger(clientLog{o.Logger})
	servers, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	client, pipeline, err := servers.connect()
	if err != nil {
		return nil, err
	}
	s := &Store{
		o: o, client: client, pipeline: pipeline, schema: schema{o.Prefix},
		create: load(lua.Create), refresh: load(lua.Refresh), list: load(lua.List),
		end: load(lua.End), others: load(lua.Others), logout: load(lua.Logout),
		live: load(lua.Live), traces: load(lua.Traces), epoch: load(lua.Epoch),
		claim: load(lua.Claim), confirm: load(lua.Confirm), release: load(lua.Release),
		put: load(lua.Put), remove: load(lua.Remove),
	}
	s.trailHead = strconv.FormatInt(o.TraceLife.Milliseconds(), 10) + "|" +
		strconv.FormatInt(o.Horizon.Milliseconds(), 10) + "|" + s.schema.channel() + "|"
	return s, nil
}

// clientLog keeps the client's own log, a line for each failed dial, to those
// who debug: a step that fails says so itself.
type clientLog struct{ to *slog.Logger }

// Printf is the client's way to log.
func (l clientLog) Printf(ctx context.Context, format string, v ...any) {
	if l.to != nil {
		l.to.DebugContext(ctx, "redis client", "said", fmt.Sprintf(format, v...))
	}
}

// Close frees the connections. Steps under way fail with Unavailable.
func (s *Store) Close() error {
	if s.pipeline != nil {
		_ = s.pipeline.Close() // the client's own Close tells what matters
	}
	return s.client.Close()
}

func newCall() *call {
	return &call{buf: make([]byte, 0, usualBytes), ends: make([]int, 0, usualTexts)}
}

// begin starts the call of a step that changes something: the keys that all
// those have in common, and those of types.
func (s *Store) begin(o session.Owner, types ...session.Type) *call {
	c, k := newCall(), s.schema.owner(o)
	k.epoch(c)
	k.gone(c)
	k.endings(c)
	k.account(c)
	k.ofTypes(c, types)
	s.arguments(c, o)
	return c
}

// arguments ends the keys and adds the arguments that every script begins with.
func (s *Store) arguments(c *call, o session.Owner) {
	c.endKeys()
	if s.o.Now == nil {
		c.text("0")
	} else {
		c.number(s.o.Now().UnixMicro())
	}
	c.text(s.trailHead, o.App, "|", o.User)
}

// Create is session.Store's.
func (s *Store) Create(ctx context.Context, step session.CreateStep) (session.Created, error) {
	p, fresh := step.Policy, step.Session
	if !fresh.ID.Valid() {
		return session.Created{}, session.Fail(session.Internal, errors.New("a session's ID is of no form that NewID gives"))
	}
	c := s.begin(step.Owner, fresh.Type)
	c.text(step.Hash)
	c.text(string(fresh.ID))
	c.millis(p.Lifetime)
	c.millis(p.AbsoluteLifetime)
	if p.Limit {
		c.number(int64(p.Max))
	} else {
		c.text("")
	}
	c.flag(p.DestroyOldest && p.Max > 0)
	c.text(fresh.Info)
	c.text(string(fresh.Claims))
	r, err := s.run(ctx, s.create, c, true)
	if err != nil {
		return session.Created{}, err
	}
	now, err := r.session(&fresh)
	if err != nil {
		return session.Created{}, err
	}
	evicted := r.traces(3, session.CauseEvicted, string(fresh.ID), now)
	return session.Created{Session: fresh, Evicted: evicted, Now: now, Durability: r.durability}, nil
}

// Refresh is session.Store's.
func (s *Store) Refresh(ctx context.Context, step session.RefreshStep) (session.Refreshed, error) {
	c := s.begin(step.Owner, step.Type)
	c.id(step.ID)
	c.terms(step)
	r, err := s.run(ctx, s.refresh, c, true)
	if err != nil {
		return session.Refreshed{}, err
	}
	done := session.Refreshed{Code: r.code, Session: session.Session{ID: step.ID, Type: step.Type}}
	if done.Now, err = r.session(&done.Session); err != nil {
		return session.Refreshed{}, err
	}
	if done.Session.Generation != step.Generation && done.Code != session.Retried {
		done.Durability = r.durability
	}
	return done, nil
}

// terms adds what lua/refresh.lua unpacks in one.
func (c *call) terms(step session.RefreshStep) {
	p, b := step.Policy, binary.BigEndian
	c.buf = b.AppendUint32(c.buf, step.Generation)
	c.buf = b.AppendUint64(c.buf, uint64(step.Expires.UnixMilli()))
	c.buf = b.AppendUint32(c.buf, uint32(p.RetryWindow.Milliseconds()))
	c.buf = b.AppendUint64(c.buf, uint64(p.Lifetime.Milliseconds()))
	c.buf = b.AppendUint64(c.buf, uint64(extendWithin(p).Milliseconds()))
	for _, on := range []bool{step.CheckUser, p.ReuseDetection, p.Rotate, p.UpdateLastLogin} {
		c.buf = append(c.buf, flag(on))
	}
	c.ends = append(c.ends, len(c.buf))
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// extendWithin is how little must be left of a session for it to be extended:
// nothing at all where the policy extends none, whatever is left where it
// extends at each refresh.
func extendWithin(p session.Policy) time.Duration {
	switch {
	case !p.Extend:
		return 0
	case p.ExtendEveryTime:
		return 2 * session.MaxAbsoluteLifetime
	}
	return p.ExtendOnceAfter
}

// List is session.Store's.
func (s *Store) List(ctx context.Context, step session.ListStep) (session.Listed, error) {
	c, k := newCall(), s.schema.owner(step.Owner)
	k.epoch(c)
	k.gone(c)
	k.account(c)
	k.ofTypes(c, askedFirst(step.Types))
	s.arguments(c, step.Owner)
	c.flag(step.CheckUser)
	c.id(step.Caller)
	c.number(int64(len(step.Types)))
	r, err := s.run(ctx, s.list, c, false)
	if err != nil {
		return session.Listed{}, err
	}
	return r.listed(step.Types)
}

// listed reads the reply of a list and drops what is over.
func (r *reply) listed(types []session.Type) (out session.Listed, err error) {
	if out.Now, err = r.now(); err != nil {
		return session.Listed{}, err
	}
	var all []held
	for i, t := range types {
		if all, err = r.sessions(all, 3+2*i, t); err != nil {
			return session.Listed{}, err
		}
	}
	for _, h := range all {
		if _, over := session.Over(h.Session, out.Now); !over && h.era >= r.epoch() {
			out.Sessions = append(out.Sessions, h.Session)
		}
	}
	slices.SortFunc(out.Sessions, func(a, b session.Session) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return compare(a.ID, b.ID)
	})
	return out, nil
}

// askedFirst gives every type, those in asked first.
func askedFirst(asked []session.Type) []session.Type {
	all := slices.Clone(asked)
	for _, t := range session.Types {
		if !slices.Contains(asked, t) {
			all = append(all, t)
		}
	}
	return all
}

// End is session.Store's.
func (s *Store) End(ctx context.Context, step session.EndStep) (session.Receipt, error) {
	c := s.begin(step.Owner, session.Types...)
	c.flag(step.CheckUser)
	c.id(step.Caller)
	c.id(step.ID)
	c.text(string(step.Cause))
	c.text(escapeBy(step.By))
	r, err := s.run(ctx, s.end, c, true)
	return r.ended(err, step.ID, step.Cause, step.By)
}

// ended reads the reply of a step that ends one session.
func (r *reply) ended(err error, id session.ID, cause session.Cause, by string) (session.Receipt, error) {
	if err != nil {
		return session.Receipt{}, err
	}
	now, err := r.now()
	ended := []session.Trace{{ID: id, Cause: cause, By: by, At: now.Truncate(time.Millisecond)}}
	return session.Receipt{Ended: ended, Now: now, Durability: r.durability}, err
}

// EndOthers is session.Store's.
func (s *Store) EndOthers(ctx context.Context, step session.EndOthersStep) (session.Receipt, error) {
	c := s.begin(step.Owner, askedFirst(step.Types)...)
	c.flag(step.CheckUser)
	c.id(step.Caller)
	c.number(int64(len(step.Types)))
	c.text(string(step.Cause))
	c.text(escapeBy(step.By))
	c.id(step.Keep)
	c.number(int64(step.KeepGeneration))
	c.millis(step.KeepWindow)
	r, err := s.run(ctx, s.others, c, true)
	if err != nil {
		return session.Receipt{}, err
	}
	now, err := r.now()
	receipt := session.Receipt{Ended: r.traces(2, step.Cause, step.By, now), Now: now}
	if len(receipt.Ended) > 0 {
		receipt.Durability = r.durability
	}
	return receipt, err
}

// Logout is session.Store's.
func (s *Store) Logout(ctx context.Context, step session.LogoutStep) (session.Receipt, error) {
	step.Cause = cmp.Or(step.Cause, session.CauseLogout)
	c, k := newCall(), s.schema.owner(step.Owner)
	k.epoch(c)
	k.gone(c)
	k.endings(c)
	k.sessions(c, step.Type)
	k.data(c, step.Type)
	s.arguments(c, step.Owner)
	c.id(step.ID)
	c.number(int64(step.Generation))
	c.number(step.Expires.UnixMilli())
	c.millis(step.Policy.RetryWindow)
	c.flag(step.Policy.ReuseDetection)
	c.text(string(step.Cause))
	r, err := s.run(ctx, s.logout, c, true)
	return r.ended(err, step.ID, step.Cause, "")
}

// compare orders IDs by their bytes.
func compare(a, b session.ID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
