package users

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"tokengate/session"
	"tokengate/session/password"
)

// Options configures a source in addition to its address. The first three fields are
// settings; the others are parts of the program.
type Options struct {
	// Query (USERS_QUERY) finds a user of a postgres source. $1 is the
	// username. The columns, whatever their names, are in this order: id (an
	// integer or text), password (a hash or null), is_active (boolean) and,
	// optionally, claims (an object as json, jsonb or text). An empty Query
	// selects from Django's own table.
	Query string

	// RecheckQuery (USERS_RECHECK_QUERY) finds what is known about a user of a
	// postgres source who holds sessions. $1 is the id. The columns are, by
	// name and in any order, is_active and, optionally, password and claims, as
	// in Query; a single column of any name is is_active. Without password, no
	// change of the password is noticed; without claims, those of the login
	// still apply. If RecheckQuery and Query are empty, Django's own table is
	// used. If only RecheckQuery is empty, Query is used with the username of
	// the user's last login, which only the instance of that login knows. Other
	// instances do not check the user, so the user keeps their sessions.
	//
	// If the query finds no user, the first table after FROM in it, or else in
	// Query, is checked: if that table is empty, or there is none, it is not
	// known whether the user was removed, and the recheck fails with Unavailable.
	RecheckQuery string

	// Recheck (RECHECK_USER) sets how long the answer of a recheck is relied on.
	Recheck Recheck

	// EndOnChange (SESSION_ENDS_ON_PASSWORD_CHANGE) makes file: and postgres: sources
	// return a fingerprint of the stored hash as the user's Credential.
	EndOnChange bool

	// UsernameField (USERNAME_FIELD) is the column of Django's own table that holds
	// the username. Empty means username. It has no effect on Query and other sources.
	UsernameField string

	// DummyKey decides which kind of hash is used as the dummy hash of a
	// username; see [password.NewDummyHashes]. It must be secret, the same on
	// all instances, and the same after a restart. It has at least 16 bytes and
	// is required by every source except http(s).
	DummyKey []byte

	// Nearest returns the most similar of the known names to name. The log line about a
	// member of a user file that has no meaning then names it. It may be nil.
	Nearest func(name string, known []string) string

	// Previous is the source that this one replaces, or nil. From a source of the same kind
	// the new one takes over whose passwords have changed lately.
	Previous *Source

	Queue     *password.Queue   // required by every source except http(s)
	Log       *slog.Logger      // nil means that nothing is logged
	Directory session.Directory // required by redis:
	App       string            // the app whose users are checked, for whose logins Queue is fair; required by redis:, and with EndOnChange
	HTTP      *http.Client      // for http(s); nil means a new client. Its CheckRedirect is not used
	Timeout   time.Duration     // of one request or query to http(s) or postgres; 0 means DefaultTimeout
}

const minDummyKey = 16 // bytes

const defaultUsernameField = "username" // of Django's own user model

// DefaultTimeout bounds one request or query to a source that is another program.
const DefaultTimeout = 5 * time.Second

// Recheck sets how long a postgres source's answer to a recheck is relied on. The zero
// value means [DefaultRecheck]. Off applies to every source. Otherwise a file: source
// checks the file at each recheck, the store's own steps check a redis: user, and an
// http(s) source can't be rechecked.
type Recheck struct {
	Set   bool          // whether Off and Every are used
	Off   bool          // never recheck: users keep their sessions until these are revoked
	Every time.Duration // 0 means at each recheck
}

// Source is an app's user source.
type Source struct {
	session.Checker
	managed      bool
	usersInStore bool
	file         *fileSource     // of a file: source, otherwise nil
	postgres     *postgresSource // of a postgres source, otherwise nil
	ping         func(context.Context) error
	close        func()
}

// Ping checks whether the source can be reached and, for postgres, whether its queries
// return the right columns. It returns nil for sources that are part of this program.
// Operators can use it to find problems before users do: [Open] succeeds even if a
// source is not available yet.
func (s *Source) Ping(ctx context.Context) error {
	if s.ping == nil {
		return nil
	}
	return s.ping(ctx)
}

// Refresh reads the file of a file: source at once if it has changed. It returns an error
// if the file can't be used; then its last valid content stays in use. It returns nil for
// other sources.
func (s *Source) Refresh() error {
	if s.file == nil {
		return nil
	}
	return s.file.refresh()
}

// Managed reports whether the users are in a [session.Directory], where the user
// subcommand changes them.
func (s *Source) Managed() bool { return s.managed }

// UsersInStore reports whether the users are in the store's own Directory and are
// checked within its steps; see session.App.UsersInStore.
func (s *Source) UsersInStore() bool { return s.usersInStore }

// Close closes the source's connections. The source must not be in use any more.
func (s *Source) Close() error {
	if s.close != nil {
		s.close()
	}
	return nil
}

// Open opens the source with the address spec, the setting USERS. It reads a file at
// once and fails if that is not possible. It does not connect to other programs, so that
// a gateway starts without them. ctx is used only during Open.
func Open(ctx context.Context, spec string, o Options) (*Source, error) {
	scheme, rest, _ := strings.Cut(spec, ":")
	if scheme == "postgresql" {
		scheme = "postgres"
	}
	if err := o.check(scheme); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	switch scheme {
	case "file":
		return openFile(rest, o)
	case "redis":
		return openDirectory(rest, o)
	case "http", "https":
		return openHTTP(spec, o)
	case "postgres":
		return openPostgres(ctx, spec, o)
	}
	// spec is not repeated, since it may be an address with a password.
	return nil, errors.New("USERS has an unknown form: give file:PATH, redis:, or an http(s):// or postgres:// address")
}

// check returns an error if a required option is missing, or one is set that a source of
// this kind does not support.
func (o Options) check(kind string) error {
	switch {
	case o.Queue == nil && kind != "http" && kind != "https":
		return errors.New("users: Options.Queue is required")
	case o.EndOnChange && o.App == "":
		return errors.New("users: Options.App is required with EndOnChange")
	case len(o.DummyKey) < minDummyKey && kind != "http" && kind != "https":
		return errors.New("users: Options.DummyKey is required: give at least 16 bytes")
	case kind != "postgres" && (o.Query != "" || o.RecheckQuery != ""):
		return errors.New("USERS_QUERY and USERS_RECHECK_QUERY are for postgres:// only: leave them out")
	case o.Query != "" && !strings.Contains(o.Query, "$1"):
		return errors.New("USERS_QUERY does not contain $1: put it where the user name goes")
	case o.RecheckQuery != "" && !strings.Contains(o.RecheckQuery, "$1"):
		return errors.New("USERS_RECHECK_QUERY does not contain $1: put it where the user's id goes")
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.UsernameField = cmp.Or(o.UsernameField, defaultUsernameField)
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return o
}

// newChecker returns a checker whose accounts are still to be set.
func (o Options) newChecker(fallback password.Hash) *hashChecker {
	return &hashChecker{app: o.App, queue: o.Queue, log: o.Log, dummies: password.NewDummyHashes(o.DummyKey, fallback)}
}

// newSource returns a source with the checker c, without rechecks if these are off.
func (o Options) newSource(c session.Checker) *Source {
	if o.Recheck.Off {
		c = noRecheck{c}
	}
	return &Source{Checker: c}
}

// noRecheck is a Checker whose Recheck always succeeds.
type noRecheck struct{ session.Checker }

func (noRecheck) Recheck(context.Context, session.UserID, bool) (session.Status, error) {
	return session.Status{}, nil
}
