package users

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"tokengate/session"
	"tokengate/session/password"
)

// djangoRecheck is the recheck query for Django's own table.
const djangoRecheck = `select is_active, password from auth_user where id = $1`

// djangoQuery returns the query that finds a user in Django's own table by the column that
// the setting USERNAME_FIELD names.
func djangoQuery(usernameField string) string {
	return `select id, password, is_active from auth_user where ` + pgx.Identifier{usernameField}.Sanitize() + ` = $1`
}

// optionalColumns are the optional columns that a recheck returns.
type optionalColumns struct{ password, claims bool }

// postgresSource is a table of users in PostgreSQL.
type postgresSource struct {
	pool           *pgxpool.Pool
	userSQL        string
	recheckSQL     string // empty means to use userSQL with the name of the last login
	anyUserSQL     string // finds whether the table has any user; empty if the table is not known
	fingerprints   fingerprints
	statusLifetime time.Duration
	timeout        time.Duration
	log            *slog.Logger
	inFlight       singleflight.Group // rechecks, by id
	breaker        circuitBreaker     // of rechecks
	now            func() time.Time
	warnOnce       sync.Once // that anyUserSQL fails

	// rechecked holds the optional columns of a recheck, or nil before one was sent. What
	// a login returns in other columns must not be taken for the answer of a recheck.
	rechecked atomic.Pointer[optionalColumns]

	statuses *statusCache
	openedAt time.Time // answers of a source that this one replaces are older; see recheck
}

func openPostgres(ctx context.Context, spec string, o Options) (*Source, error) {
	address := &postgresAddress{spec: spec, timeout: o.Timeout, log: o.Log, now: time.Now}
	config, err := address.open()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config) // connects on the first query
	if err != nil {
		return nil, fmt.Errorf("USERS is postgres://: %w", err)
	}
	p := &postgresSource{
		pool: pool, statusLifetime: DefaultRecheck, fingerprints: o.fingerprints(), timeout: o.Timeout,
		log: o.Log, statuses: newStatusCache(), now: time.Now, openedAt: time.Now(),
	}
	if o.Recheck.Set {
		p.statusLifetime = o.Recheck.Every
	}
	if o.Previous != nil && o.Previous.postgres != nil {
		p.statuses = o.Previous.postgres.statuses
	}
	p.setQueries(o)
	c := o.newChecker(password.DjangoDummy())
	c.accounts = p
	s := o.newSource(c)
	s.ping, s.postgres = p.ping, p
	s.close = pool.Close
	return s, nil
}

// setQueries sets the queries, and warns about those that leave out a check.
func (p *postgresSource) setQueries(o Options) {
	p.userSQL, p.recheckSQL = o.Query, o.RecheckQuery
	if p.userSQL == "" { // Django's recheck query is no default for any other table
		p.userSQL = djangoQuery(o.UsernameField)
		if p.recheckSQL == "" {
			p.recheckSQL = djangoRecheck
		}
	}
	if p.recheckSQL == "" { // then Query answers rechecks as well
		p.rechecked.Store(&optionalColumns{password: true, claims: true})
	}
	if table := cmp.Or(tableOf(p.recheckSQL), tableOf(p.userSQL)); table != "" {
		p.anyUserSQL = `select exists (select from ` + table + `)`
	}
	if o.Recheck.Off {
		return
	}
	if p.recheckSQL == "" {
		p.log.Warn("USERS_QUERY is set without USERS_RECHECK_QUERY: a refresh checks only users who have logged in at this instance since it started; set both")
	}
	if p.anyUserSQL == "" {
		p.warnOnce.Do(func() { p.log.Warn(noProbe, "error", errNoTable) })
	}
}

// find finds a user at a login. An active user is cached, with the time at which the query
// was sent, so that no answer is relied on for longer than configured. It is a recheck's
// answer too if it is known what a recheck returns.
func (p *postgresSource) find(ctx context.Context, username string) (session.Account, error) {
	queriedAt := p.now()
	a, status, err := p.findAccount(ctx, username)
	if err != nil || !a.Active {
		return a, err
	}
	columns := p.rechecked.Load()
	s := cachedStatus{code: session.OK, queriedAt: queriedAt, loginOnly: columns == nil, username: username, credential: a.Credential}
	if columns != nil && columns.password {
		s.status.Credential = status.Credential
	}
	if columns != nil && columns.claims {
		s.status.Claims, s.status.HasClaims = status.Claims, status.HasClaims
	}
	p.remember(a.ID, s)
	return a, nil
}

// findAccount queries a user by name. It also returns what a recheck would return if they
// are active.
func (p *postgresSource) findAccount(ctx context.Context, username string) (session.Account, session.Status, error) {
	if !utf8.ValidString(username) || strings.ContainsRune(username, 0) { // PostgreSQL can't store such text
		return session.Account{}, session.Status{}, session.Fail(session.UserUnknown, errNoUser)
	}
	found, err := p.queryRow(ctx, p.userQuery(), username)
	if err != nil {
		return session.Account{}, session.Status{}, err
	}
	a, err := found.account(username)
	if err != nil {
		return session.Account{}, session.Status{}, unavailable(fmt.Errorf("USERS_QUERY: %w", err))
	}
	a.Credential = p.fingerprints.of(a.ID, a.Password)
	return a, session.Status{Credential: a.Credential, Claims: a.Claims, HasClaims: len(found.columns) > userClaims}, nil
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
	return query{"USERS_RECHECK_QUERY", p.recheckSQL, p.checkRecheckColumns}
}

// checkRecheckColumns checks the columns of the recheck query, and records which of them
// there are.
func (p *postgresSource) checkRecheckColumns(columns []column) error {
	if err := checkRecheckColumns(columns); err != nil {
		return err
	}
	p.rechecked.Store(&optionalColumns{password: optionalColumn(columns, "password") >= 0, claims: optionalColumn(columns, "claims") >= 0})
	return nil
}
