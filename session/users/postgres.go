package users

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"tokengate/session"
	"tokengate/session/password"
)

// The queries for Django's own table. The cast allows the second to be sent without
// preparing it first, for connection poolers that forbid prepared statements.
const (
	djangoQuery   = `select id, password, is_active from auth_user where username = $1`
	djangoRecheck = `select is_active from auth_user where id = cast($1 as bigint)`
)

// postgresSource is a table of users in PostgreSQL.
type postgresSource struct {
	pool           *pgxpool.Pool
	userSQL        string
	recheckSQL     string // empty means to use userSQL with the name of the last login
	statusLifetime time.Duration
	timeout        time.Duration
	log            *slog.Logger
	statuses       *session.Cache[cachedStatus] // by id
	inFlight       singleflight.Group           // rechecks, by id
	breaker        circuitBreaker               // of rechecks
	now            func() time.Time
}

func openPostgres(ctx context.Context, spec string, o Options) (*Source, error) {
	config, err := poolConfig(spec, o.Timeout)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config) // connects on the first query
	if err != nil {
		return nil, fmt.Errorf("USERS is postgres://: %w", err)
	}
	p := &postgresSource{
		pool: pool, userSQL: o.Query, recheckSQL: o.RecheckQuery, statusLifetime: DefaultRecheck,
		timeout: o.Timeout, log: o.Log, statuses: session.NewCache[cachedStatus](maxCachedStatuses), now: time.Now,
	}
	if o.Recheck.Set {
		p.statusLifetime = o.Recheck.Every
	}
	if p.userSQL == "" { // Django's recheck query is no default for any other table
		p.userSQL = djangoQuery
		if p.recheckSQL == "" {
			p.recheckSQL = djangoRecheck
		}
	}
	if p.recheckSQL == "" && !o.Recheck.Off {
		p.log.Warn("USERS_QUERY is set without USERS_RECHECK_QUERY: a refresh checks only users who have logged in at this instance since it started; set both")
	}
	c := o.newChecker(password.DjangoDummy())
	c.accounts = p
	s := o.newSource(c)
	s.ping = p.ping
	s.close = pool.Close
	return s, nil
}

// poolConfig parses the address. Its errors contain nothing that may be a part of the
// password.
func poolConfig(spec string, timeout time.Duration) (*pgxpool.Config, error) {
	u, err := url.Parse(spec)
	if err == nil {
		_, err = url.ParseQuery(u.RawQuery)
	}
	if err != nil {
		return nil, errors.New("USERS is not a valid postgres URL: give postgres://user:password@host/database, with special characters in user and password percent-encoded")
	}
	config, err := pgxpool.ParseConfig(spec)
	if err != nil {
		if e, ok := errors.AsType[*pgconn.ParseConfigError](err); ok { // its text repeats the address
			err = e.Unwrap()
		}
		return nil, fmt.Errorf("USERS is a postgres:// address with invalid settings: %w", err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = timeout // also bounds connection attempts that the pool makes itself
	}
	return config, nil
}

// find finds a user at a login. An active user is cached as for a recheck, with the time
// at which the query was sent, so that no answer is relied on for longer than configured.
func (p *postgresSource) find(ctx context.Context, username string) (session.Account, error) {
	now := p.now()
	a, err := p.findAccount(ctx, username)
	if err == nil && a.Active {
		p.remember(a.ID, cachedStatus{session.OK, now, username})
	}
	return a, err
}

// findAccount queries a user by name.
func (p *postgresSource) findAccount(ctx context.Context, username string) (session.Account, error) {
	if !utf8.ValidString(username) || strings.ContainsRune(username, 0) { // PostgreSQL can't store such text
		return session.Account{}, session.Fail(session.UserUnknown, errNoUser)
	}
	found, err := p.queryRow(ctx, p.userQuery(), username)
	if err != nil {
		return session.Account{}, err
	}
	a, err := found.account(username)
	if err != nil {
		return session.Account{}, unavailable(fmt.Errorf("USERS_QUERY: %w", err))
	}
	return a, nil
}

// ping sends both queries with null in place of the name or id: null equals no value of
// any type, so no user is found.
func (p *postgresSource) ping(ctx context.Context) error {
	queries := []query{p.userQuery()}
	if p.recheckSQL != "" {
		queries = append(queries, p.recheckQuery())
	}
	for _, q := range queries {
		if _, err := p.queryRow(ctx, q, nil); err != nil && session.CodeOf(err) != session.UserUnknown {
			return err
		}
	}
	return nil
}

func (p *postgresSource) userQuery() query { return query{"USERS_QUERY", p.userSQL, checkUserColumns} }

func (p *postgresSource) recheckQuery() query {
	return query{"USERS_RECHECK_QUERY", p.recheckSQL, checkRecheckColumns}
}
