// Package redisstore keeps sessions in Redis: standalone, behind Sentinel, or in a
// Cluster. It is the only package that uses the Redis client.
//
// Each step runs one script of package lua on the keys of one user, which share a
// slot. Only a Limiter sends two at a time, whose keys may be in two slots. The schema of the keys is in keys.go. A step takes one round trip, or two
// when Redis has lost its scripts. The client never repeats a step by itself: if the
// reply was lost, the step may have run, and a second run would not return the same
// result.
//
// A step fails with [session.Unavailable] for every reason that keeps Redis from running
// it, and with [session.Internal] only if the reply shows a defect.
//
// Besides the steps, a [Store] reports revocations ([Store.Follow]), keeps the users of
// apps with USERS=redis: ([Store.Directory]), counts failed logins ([Store.Limiter]), and
// checks the servers ([Store.Ping], [Store.Warnings]).
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/lua"
	"tokengate/session"
)

// Store implements [session.Store] and [session.Feed]; [Store.Directory] returns its
// [session.Directory], and [Store.Limiter] its [session.Limiter]. It is safe for concurrent use, and any number of processes may
// use the same servers.
type Store struct {
	options   Options
	client    redis.UniversalClient
	pipelines *pipelines // nil if each step takes its own connection
	batches   batchTurns
	schema    schema
	replicas  replicaStates
	clocks    clockOffsets

	polls, subscription outage // of Follow

	denied atomic.Bool // Redis has denied a command for lack of a right, and has not run all of them since

	clockWarnedAt atomic.Int64 // when a warning about clocks was logged last, Unix ns
	directory     *Directory
	limiter       *Limiter

	credentials      atomic.Pointer[credentials]      // of new connections
	revocationParams atomic.Pointer[revocationParams] // of the steps that start now

	create, refresh, checkToken, list, revoke, revokeOthers, logout, live, tombstones, revokeApp, ready, probe *script
}

var (
	_ session.Store = (*Store)(nil)
	_ session.Feed  = (*Store)(nil)
)

// revocationParams is the second argument of every script up to the app and the user; see
// lua/include/prelude.lua.
type revocationParams struct {
	retention time.Duration
	text      string
}

func (s *Store) newRevocationParams(retention time.Duration) *revocationParams {
	return &revocationParams{retention, strconv.FormatInt(s.options.TombstoneLifetime.Milliseconds(), 10) + "|" +
		strconv.FormatInt(retention.Milliseconds(), 10) + "|" + s.schema.channel() + "|"}
}

// New returns a Store with the given options. It does not connect; use Ping for that.
func New(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	redis.SetLogger(clientLog{o.Logger})
	servers, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{
		options: o, schema: schema{o.Prefix},
		create: newScript(lua.Create), refresh: newScript(lua.Refresh), checkToken: newScript(lua.CheckToken), list: newScript(lua.List),
		revoke: newScript(lua.Revoke), revokeOthers: newScript(lua.RevokeOthers), logout: newScript(lua.Logout),
		live: newScript(lua.Live), tombstones: newScript(lua.Tombstones), revokeApp: newScript(lua.RevokeApp),
		ready: newScript(lua.Ready), probe: newScript(lua.Probe),
	}
	s.credentials.Store(&credentials{servers.Username, servers.Password})
	s.revocationParams.Store(s.newRevocationParams(o.Retention))
	if s.client, s.pipelines, err = servers.connect(&s.credentials, o.Logger); err != nil {
		return nil, err
	}
	if servers.topology != cluster {
		s.clocks.single = newClockOffset()
	}
	s.polls = outage{
		logger: o.Logger,
		failed: "the revocations of other instances can't be read from Redis",
		over:   "the revocations of other instances can be read from Redis again",
	}
	s.subscription = outage{
		logger: o.Logger,
		failed: "the subscription to revocations failed, so those of other instances arrive late",
		over:   "the subscription to revocations works again",
	}
	s.directory, s.limiter = newDirectory(s), newLimiter(s)
	return s, nil
}

// SetURL makes connections that are opened from now on use the user and the password of a
// URL. Established connections stay. If the URL is invalid, or differs from that of Options in
// anything else, SetURL fails and changes nothing. Errors do not repeat the URL.
func (s *Store) SetURL(url string) error {
	servers, err := parseURL(url)
	if err != nil {
		return err
	}
	if !sameServers(url, s.options.URL) {
		return errors.New("URL: only the user and the password before the hosts can change without a restart: " +
			"restart the gateway for the other changes")
	}
	s.credentials.Store(&credentials{servers.Username, servers.Password})
	return nil
}

// ExtendRetention makes the steps that start from now on keep their revocations in the
// outbox for at least d. It never lowers Options.Retention.
func (s *Store) ExtendRetention(d time.Duration) {
	for {
		now := s.revocationParams.Load()
		if d <= now.retention || s.revocationParams.CompareAndSwap(now, s.newRevocationParams(d)) {
			return
		}
	}
}

// Close closes the connections. Steps in progress fail with Unavailable.
func (s *Store) Close() error {
	return s.client.Close()
}

// clientLog logs the client's own messages, such as a line for each failed dial, at
// debug level: a step that fails returns an error anyway.
type clientLog struct{ logger *slog.Logger }

// Printf implements the logger interface of the Redis client.
func (l clientLog) Printf(ctx context.Context, format string, v ...any) {
	if l.logger != nil {
		l.logger.DebugContext(ctx, "redis client", "message", echoedArgs.ReplaceAllString(fmt.Sprintf(format, v...), ""))
	}
}
