package redisstore

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"tokengate/session"
)

// Options configures a Store. Start from Defaults.
//
// URL has one of these forms:
//
//	redis://USER:PASSWORD@HOST:PORT/DB
//	unix://USER:PASSWORD@/PATH/OF/SOCKET
//	redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER
//	redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT
//
// With rediss instead of redis, connections use TLS. These parameters may follow after "?",
// separated by "&":
//
//   - db, the number of the database, for Sentinel and sockets
//   - dial_timeout (default 2s), read_timeout and write_timeout (3s), and pool_timeout (2s),
//     in Go's syntax, which limit a step whose context does not
//   - pool_size (10 per CPU), min_idle_conns, max_idle_conns and max_active_conns, per server
//   - conn_max_idle_time and conn_max_lifetime of a connection
//   - client_name, as CLIENT LIST shows it
//   - sentinel_username and sentinel_password, for Sentinel itself
//   - ca_cert, the path of a PEM file with the only certificates to trust
//   - client_cert and client_key, the paths of PEM files with the certificate that servers
//     ask of their clients, and its private key
//   - skip_verify=true, for tests: the certificate of the server is not checked
//   - auto_pipeline=false sends each step on a connection of its own. By default, steps for
//     one server that run at the same time are sent together, on one connection, which halves
//     the work of Redis if there are many; those that wait for replicas are not
//
// The files of ca_cert, client_cert and client_key are read again for each new connection,
// so that renewed ones need no restart. If they can't be used then, the last good ones
// stay in use, and Logger logs the reason.
type Options struct {
	URL          string        // required
	Prefix       string        // first part of every key and channel
	WaitReplicas int           // replicas that must have a change before it counts as durable; 0 means no wait
	WaitTimeout  time.Duration // longest wait for them

	TombstoneLifetime time.Duration // how long tombstones are kept after the user's last revocation; 7 days in Defaults
	Retention         time.Duration // how long the outbox keeps a revocation: at least the longest access-token lifetime; 1 h in Defaults
	NotBeforeLifetime time.Duration // how long the effect of RevokeApp lasts: at least the longest absolute lifetime; 400 days in Defaults
	PollInterval      time.Duration // how often Follow reads the outboxes, which bounds how late it may report a revocation; 3 s in Defaults

	// Now is for tests only: the clock to use instead of Redis's. It must not be
	// behind the real time, because Redis would then delete keys too early.
	Now func() time.Time
	// Logger logs warnings about the servers' clocks, why Follow or reading certificates
	// fails, and the messages of the Redis client at debug level; nil means none. The
	// client has one log per process: that of the last Store.
	Logger *slog.Logger
	// ObserveClock, if not nil, is called after each measurement of a node's clock: with
	// the node's address, or "primary" if there is no Cluster, and how far its clock is
	// ahead of this instance's. It must return quickly.
	ObserveClock func(node string, offset time.Duration)
	// Observe, if not nil, is called after every run of a script, with the code that
	// it returned or failed with, and how long it took. It must return quickly.
	Observe func(script string, code session.Code, took time.Duration)
}

// Defaults returns the options of a production gateway, without a URL.
func Defaults() Options {
	return Options{
		Prefix:            "tg",
		WaitTimeout:       200 * time.Millisecond,
		TombstoneLifetime: 7 * 24 * time.Hour,
		Retention:         time.Hour,
		NotBeforeLifetime: session.MaxAbsoluteLifetime,
		PollInterval:      3 * time.Second,
	}
}

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`)

// maxWait keeps WAIT well within the client's read timeout.
const maxWait = 2 * time.Second

// Validate returns an error that names the first invalid option and a valid value.
func (o Options) Validate() error {
	switch {
	case o.URL == "":
		return errors.New("URL is empty: give redis://HOST:PORT")
	case !prefixForm.MatchString(o.Prefix):
		return errors.New("PREFIX is invalid: give 1 to 64 letters, digits or characters of ._:/-")
	case o.WaitReplicas < 0:
		return fmt.Errorf("WAIT_REPLICAS is %d: give 0 or more", o.WaitReplicas)
	case o.WaitReplicas > 0 && (o.WaitTimeout < time.Millisecond || o.WaitTimeout > maxWait):
		return fmt.Errorf("WAIT_TIMEOUT is %s: give 1ms to %s", o.WaitTimeout, maxWait)
	case o.TombstoneLifetime < time.Second || o.Retention < time.Second || o.NotBeforeLifetime < time.Second:
		return errors.New("TombstoneLifetime, Retention and NotBeforeLifetime: give at least 1s")
	case o.PollInterval <= 0:
		return errors.New("PollInterval: give a positive duration")
	}
	s, err := parseURL(o.URL)
	if err == nil && s.TLSConfig != nil {
		_, err = s.certificates.load(s.TLSConfig)
	}
	return err
}

// minPollInterval bounds what reading the outboxes costs Redis.
const minPollInterval = 100 * time.Millisecond

// LimitPollInterval lowers PollInterval to at most a third of bound, but not below 100 ms.
// A revocation list counts as stale when it is older than bound, so polls update it well
// before that. A bound of 0 changes nothing.
func (o *Options) LimitPollInterval(bound time.Duration) {
	if bound > 0 {
		o.PollInterval = min(o.PollInterval, max(bound/3, minPollInterval))
	}
}
