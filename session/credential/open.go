package credential

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tokengate/session"
)

// Options is what the sources need beside their address. The first three are
// settings; the others are parts of the program.
type Options struct {
	// Query (USERS_QUERY) finds a user of a postgres source. $1 is the user
	// name. The columns are, in this order and whatever their names: id (a whole
	// number or text), password (a hash or null), is_active (boolean), and, if
	// there is a fourth, claims (an object as json, jsonb or text). Empty:
	// Django's own table.
	Query string

	// RecheckQuery (USERS_RECHECK_QUERY) asks whether a user of a postgres
	// source still may. $1 is the id, the one column is is_active. Empty:
	// Django's own table, unless Query is set: then Query is asked with the name
	// that the user last logged in by, which only the instance that saw the
	// login knows; for any other user there is no question, and he may go on.
	RecheckQuery string

	// Recheck (RECHECK_USER) says how long such an answer is relied on.
	Recheck Recheck

	// DecoyKey decides which names that nobody has seem to have which of the
	// source's kinds of hashes. All instances must have the same, before a restart
	// and after, and nobody else may: who could compute what a name that nobody
	// has would seem to be could tell it from the others. At least 16 bytes,
	// required by every source but http(s).
	DecoyKey []byte

	Lane      *Lane             // required by every source but http(s)
	Log       *slog.Logger      // nil: nothing is logged
	Directory session.Directory // required by redis:
	App       string            // required by redis:, the app whose users they are
	HTTP      *http.Client      // for http(s); nil: one of its own. Its CheckRedirect is not used
	Timeout   time.Duration     // of one question to http(s) or postgres; 0: DefaultTimeout
}

const minDecoyKey = 16 // bytes

// DefaultTimeout bounds one question to a source that is another program.
const DefaultTimeout = 5 * time.Second

// DefaultRecheck is how long a postgres source's answers are relied on.
const DefaultRecheck = 30 * time.Second

// Recheck is how long a postgres source's answer to a recheck is relied on. The
// zero value is DefaultRecheck. Off holds for every source; otherwise file:
// looks at each recheck, the store's own step does for redis:, and http(s)
// can't be asked.
type Recheck struct {
	set, off bool
	every    time.Duration
}

// RecheckEvery relies on an answer for d; 0 asks each time.
func RecheckEvery(d time.Duration) Recheck { return Recheck{set: true, every: d} }

// RecheckOff never asks: a user keeps his sessions until something ends them.
func RecheckOff() Recheck { return Recheck{set: true, off: true} }

// ParseRecheck reads "off", a duration of Go's, whole days ("1d"), or nothing
// for the zero value.
func ParseRecheck(text string) (Recheck, error) {
	switch text {
	case "":
		return Recheck{}, nil
	case "off":
		return RecheckOff(), nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < 0 || d > session.MaxAbsoluteLifetime {
		return Recheck{}, fmt.Errorf("RECHECK_USER is %q: give a duration from 0s to 400d, such as 30s, or off", text)
	}
	return RecheckEvery(d), nil
}

// Source is an app's user source.
type Source struct {
	session.Checker
	managed bool
	inStore bool
	reach   func(context.Context) error
	close   func()
}

// Reach asks another program that is the source whether it is there, and
// whether its queries are of the right kind; nil for sources that are part of
// this one. It is for an operator who wants to know before users do: a source
// may be away at the start and come later.
func (s *Source) Reach(ctx context.Context) error {
	if s.reach == nil {
		return nil
	}
	return s.reach(ctx)
}

// Managed tells whether the users are in a Directory, where a Manager changes
// them.
func (s *Source) Managed() bool { return s.managed }

// UsersInStore tells whether the users are in the store's own Directory, which
// its steps then ask (session.App.UsersInStore).
func (s *Source) UsersInStore() bool { return s.inStore }

// Close gives connections back. The source must not be in use any more.
func (s *Source) Close() error {
	if s.close != nil {
		s.close()
	}
	return nil
}

// Open makes the source that spec, the setting USERS, names. It reads a file at
// once and fails if that can't be done; other programs it does not ask yet, so
// a gateway starts without them. ctx is for the start alone.
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
		return openUpstream(spec, o)
	case "postgres":
		return openPostgres(ctx, spec, o)
	}
	// spec is not repeated: it may be an address with a password
	return nil, errors.New("USERS is of no known form: give file:PATH, redis:, or an http(s):// or postgres:// address")
}

// check finds options that a kind of source lacks or can't have.
func (o Options) check(kind string) error {
	switch {
	case o.Lane == nil && kind != "http" && kind != "https":
		return errors.New("credential: Options.Lane is required")
	case len(o.DecoyKey) < minDecoyKey && kind != "http" && kind != "https":
		return errors.New("credential: Options.DecoyKey is required, of at least 16 bytes")
	case kind != "postgres" && (o.Query != "" || o.RecheckQuery != ""):
		return errors.New("USERS_QUERY and USERS_RECHECK_QUERY are for postgres:// only: leave them out")
	case o.Query != "" && !strings.Contains(o.Query, "$1"):
		return errors.New("USERS_QUERY has no $1, where the user name goes")
	case o.RecheckQuery != "" && !strings.Contains(o.RecheckQuery, "$1"):
		return errors.New("USERS_RECHECK_QUERY has no $1, where the user's id goes")
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return o
}

// passwords is a checker that lacks its accounts yet.
func (o Options) passwords(usual stored) *passwords {
	return &passwords{lane: o.Lane, log: o.Log, decoys: &decoys{key: o.DecoyKey, usual: usual}}
}

// source is c as the options want it asked.
func (o Options) source(c session.Checker) *Source {
	if o.Recheck.off {
		c = unasked{c}
	}
	return &Source{Checker: c}
}

// unasked is a Checker that is never asked again about a user.
type unasked struct{ session.Checker }

func (unasked) Recheck(context.Context, session.UserID) error { return nil }

// directory is the users of one app in the store's Directory. Whether they
// still may is asked within the store's own steps.
type directory struct {
	users session.Directory
	app   string
}

func openDirectory(rest string, o Options) (*Source, error) {
	if rest != "" {
		return nil, errors.New("USERS is redis: and more: the users are where the sessions are (REDIS_URL); give redis: alone")
	}
	if o.Directory == nil || o.App == "" {
		return nil, errors.New("credential: redis: requires Options.Directory and App")
	}
	p := o.passwords(usualHere())
	p.accounts, p.inStore = directory{o.Directory, o.App}, true
	s := o.source(p)
	s.managed, s.inStore = true, !o.Recheck.off
	return s, nil
}

func (d directory) find(ctx context.Context, username string) (session.Account, error) {
	return d.users.Find(ctx, d.app, username)
}

func (d directory) recheck(context.Context, session.UserID) error { return nil }
