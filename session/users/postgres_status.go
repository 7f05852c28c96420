package users

import (
	"context"
	"time"

	"tokengate/session"
)

// DefaultRecheck is how long a postgres source's answer to a recheck is relied on by
// default.
const DefaultRecheck = 30 * time.Second

// maxCachedStatuses is the maximum number of users whose status is cached.
const maxCachedStatuses = 100_000

// cachedStatus is the result of the latest query for a user.
type cachedStatus struct {
	code      session.Code // OK, UserUnknown, UserInactive
	queriedAt time.Time
	username  string // of the last login; empty if there was none at this instance
}

// recheck implements accountSource. Positive and negative answers are cached equally
// long. Negative ones are cached because a client may go on using the tokens of a
// disabled user, and each use would otherwise cause a query. A failure of the source is
// not cached by user: the circuit breaker records it for the whole source. Concurrent
// rechecks of one user share one query, which goes on when the context of one of them is
// done.
func (p *postgresSource) recheck(ctx context.Context, id session.UserID, _ bool) (session.Status, error) {
	return session.Status{}, p.recheckError(ctx, id)
}

func (p *postgresSource) recheckError(ctx context.Context, id session.UserID) error {
	now, key := p.now(), id.String()
	cached, ok := p.statuses.Get(key)
	if ok && now.Sub(cached.queriedAt) < p.statusLifetime {
		return cached.err()
	}
	if p.recheckSQL == "" && cached.username == "" {
		return nil // no login at this instance, and no query by id
	}
	if err := p.breaker.allow(now); err != nil {
		return err
	}
	for {
		result := p.inFlight.DoChan(key, func() (any, error) {
			return p.refreshStatus(context.WithoutCancel(ctx), id, cached.username)
		})
		select {
		case <-ctx.Done():
			return unavailable(ctx.Err())
		case r := <-result:
			queriedAt, _ := r.Val.(time.Time)
			if session.CodeOf(r.Err) == session.Unavailable || !queriedAt.Before(now.Add(-p.statusLifetime)) {
				return r.Err
			} // otherwise it is another caller's query, sent too early to be relied on here
		}
	}
}

// refreshStatus queries the status of a user, caches it, and returns when it sent the
// query.
func (p *postgresSource) refreshStatus(ctx context.Context, id session.UserID, username string) (queriedAt time.Time, err error) {
	queriedAt = p.now()
	err = p.queryStatus(ctx, id, username)
	p.breaker.record(queriedAt, p.now(), asUnanswered(err))
	status := cachedStatus{session.CodeOf(err), queriedAt, username}
	switch status.code {
	case session.OK, session.UserUnknown, session.UserInactive:
		p.remember(id, status)
	}
	return queriedAt, err
}

// remember caches a user's status unless that of a later query is cached.
func (p *postgresSource) remember(id session.UserID, s cachedStatus) {
	if cached, ok := p.statuses.Get(id.String()); !ok || !cached.queriedAt.After(s.queriedAt) {
		p.statuses.Put(id.String(), s)
	}
}

func (s cachedStatus) err() error {
	if s.code == session.OK {
		return nil
	}
	return session.Fail(s.code, nil)
}

// queryStatus queries whether a user may still hold sessions: by id if there is a query
// for that, otherwise by name. In the second case the name may belong to another user by
// now; then the user is unknown.
func (p *postgresSource) queryStatus(ctx context.Context, id session.UserID, username string) error {
	if p.recheckSQL == "" {
		a, err := p.findAccount(ctx, username)
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
	found, err := p.queryRow(ctx, p.recheckQuery(), id.String())
	if err == nil && !found.boolean(0) {
		err = session.Fail(session.UserInactive, nil)
	}
	return err
}
