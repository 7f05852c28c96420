package credential

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
)

// The questions to Django's own table. The cast lets the second be asked
// without preparing it first, for poolers that forbid that.
const (
	djangoQuery   = `select id, password, is_active from auth_user where username = $1`
	djangoRecheck = `select is_active from auth_user where id = cast($1 as bigint)`
)

// maxStandings bounds how many users' standings are remembered.
const maxStandings = 100_000

// postgres is a table of users in PostgreSQL.
type postgres struct {
	pool     *pgxpool.Pool
	byName   string // the query
	byID     string // empty: ask by the name last logged in by
	relyOn   time.Duration
	timeout  time.Duration
	log      *slog.Logger
	standing *session.Recent[standing]
	asking   singleflight.Group // rechecks, by id
	silence  silence            // of rechecks
	now      func() time.Time
}

// standing is what was last heard of a user, and when.
type standing struct {
	code     session.Code // OK, UserUnknown, UserInactive
	asked    time.Time
	username string // last found by; empty: not known here
}

func openPostgres(ctx context.Context, spec string, o Options) (*Source, error) {
	config, err := poolConfig(spec, o.Timeout)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config) // connects when first asked
	if err != nil {
		return nil, fmt.Errorf("USERS is postgres://: %w", err)
	}
	pg := &postgres{
		pool: pool, byName: o.Query, byID: o.RecheckQuery, relyOn: DefaultRecheck,
		timeout: o.Timeout, log: o.Log, standing: session.NewRecent[standing](maxStandings), now: time.Now,
	}
	if o.Recheck.set {
		pg.relyOn = o.Recheck.every
	}
	if pg.byName == "" { // else Django's question by id would be put to the wrong table
		pg.byName = djangoQuery
		if pg.byID == "" {
			pg.byID = djangoRecheck
		}
	}
	if pg.byID == "" && !o.Recheck.off {
		pg.log.Warn("USERS_QUERY is set without USERS_RECHECK_QUERY: a refresh asks about a user only where he logged in at this instance since its start")
	}
	p := o.passwords(usualInDjango())
	p.accounts = pg
	s := o.source(p)
	s.reach = pg.reach
	s.close = pool.Close
	return s, nil
}

// poolConfig reads the address. Of what is wrong with it no more is told than
// can't be a part of the password.
func poolConfig(spec string, timeout time.Duration) (*pgxpool.Config, error) {
	u, err := url.Parse(spec)
	if err == nil {
		_, err = url.ParseQuery(u.RawQuery)
	}
	if err != nil {
		return nil, errors.New("USERS is not a postgres URL: give postgres://user:password@host/database, with special characters in user and password percent-encoded")
	}
	config, err := pgxpool.ParseConfig(spec)
	if err != nil {
		if e, ok := errors.AsType[*pgconn.ParseConfigError](err); ok { // its text repeats the address
			err = e.Unwrap()
		}
		return nil, fmt.Errorf("USERS is postgres:// with settings that can't be used: %w", err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = timeout // of the pool's own attempts, too
	}
	return config, nil
}

// find, at a login, is as good as a recheck: what it learns is remembered, from
// the moment of asking, so that no answer is relied on for longer than promised.
func (p *postgres) find(ctx context.Context, username string) (session.Account, error) {
	now := p.now()
	a, err := p.lookUp(ctx, username)
	if err == nil && a.Active {
		p.remember(a.ID, standing{session.OK, now, username})
	}
	return a, err
}

// lookUp asks for a user by name.
func (p *postgres) lookUp(ctx context.Context, username string) (session.Account, error) {
	if !utf8.ValidString(username) || strings.ContainsRune(username, 0) { // no such text in PostgreSQL
		return session.Account{}, session.Fail(session.UserUnknown, errNoUser)
	}
	found, err := p.one(ctx, p.userQuestion(), username)
	if err != nil {
		return session.Account{}, err
	}
	a, err := found.account(username)
	if err != nil {
		return session.Account{}, unavailable(fmt.Errorf("USERS_QUERY: %w", err))
	}
	return a, nil
}

// recheck is session.Checker's. Good news and bad are remembered equally long:
// bad ones, so that a client that goes on asking for a disabled user does not
// reach the database each time. That the source could not answer is remembered
// of the source, not of the user. Of those who ask about one user at a time, one
// asks the database; who waits no longer leaves the question to the others.
func (p *postgres) recheck(ctx context.Context, id session.UserID) error {
	now, key := p.now(), id.String()
	known, ok := p.standing.Get(key)
	if ok && now.Sub(known.asked) < p.relyOn {
		return known.verdict()
	}
	if p.byID == "" && known.username == "" {
		return nil // logged in elsewhere, and there is no question to ask by id
	}
	if err := p.silence.refuse(now); err != nil {
		return err
	}
	for {
		question := p.asking.DoChan(key, func() (any, error) {
			return p.inquire(context.WithoutCancel(ctx), id, known.username)
		})
		select {
		case <-ctx.Done():
			return unavailable(ctx.Err())
		case answer := <-question:
			asked, _ := answer.Val.(time.Time)
			if session.CodeOf(answer.Err) == session.Unavailable || !asked.Before(now.Add(-p.relyOn)) {
				return answer.Err
			} // else another's question, asked too early to be relied on here
		}
	}
}

// inquire asks about a user and remembers what it learns. It tells when it asked.
func (p *postgres) inquire(ctx context.Context, id session.UserID, username string) (asked time.Time, err error) {
	asked = p.now()
	err = p.ask(ctx, id, username)
	p.silence.heard(asked, p.now(), silent(err))
	fresh := standing{session.CodeOf(err), asked, username}
	switch fresh.code {
	case session.OK, session.UserUnknown, session.UserInactive:
		p.remember(id, fresh)
	}
	return asked, err
}

// remember keeps what was heard of a user, unless what was asked later is known.
func (p *postgres) remember(id session.UserID, s standing) {
	if known, ok := p.standing.Get(id.String()); !ok || !known.asked.After(s.asked) {
		p.standing.Put(id.String(), s)
	}
}

func (s standing) verdict() error {
	if s.code == session.OK {
		return nil
	}
	return session.Fail(s.code, nil)
}

// ask asks whether a user still may: by id, or else by name, which must not
// have become another user's.
func (p *postgres) ask(ctx context.Context, id session.UserID, username string) error {
	if p.byID == "" {
		a, err := p.lookUp(ctx, username)
		switch {
		case err != nil:
			return err
		case a.ID.String() != id.String():
			return session.Fail(session.UserUnknown, errNoUser)
		case !a.Active:
			return session.Fail(session.UserInactive, nil)
		}
		return nil
	}
	found, err := p.one(ctx, p.recheckQuestion(), id.String())
	if err == nil && !found.boolean(0) {
		err = session.Fail(session.UserInactive, nil)
	}
	return err
}

// reach asks both questions of no user: null equals nothing, of any type.
func (p *postgres) reach(ctx context.Context) error {
	questions := []question{p.userQuestion()}
	if p.byID != "" {
		questions = append(questions, p.recheckQuestion())
	}
	for _, q := range questions {
		if _, err := p.one(ctx, q, nil); err != nil && session.CodeOf(err) != session.UserUnknown {
			return err
		}
	}
	return nil
}

func (p *postgres) userQuestion() question { return question{"USERS_QUERY", p.byName, userColumns} }

func (p *postgres) recheckQuestion() question {
	return question{"USERS_RECHECK_QUERY", p.byID, recheckColumns}
}
