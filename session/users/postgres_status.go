package users

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"tokengate/session"
)

// DefaultRecheck is how long a postgres source's answer to a recheck is relied on by
// default.
const DefaultRecheck = 30 * time.Second

// maxCachedStatuses is the maximum number of users whose status is cached.
const maxCachedStatuses = 100_000

// statusCache has the latest answer about each user, by id. A source shares it with the one
// that replaces it.
type statusCache struct {
	mu sync.Mutex // held while an entry is replaced
	*session.Cache[cachedStatus]
}

func newStatusCache() *statusCache {
	return &statusCache{Cache: session.NewCache[cachedStatus](maxCachedStatuses)}
}

// cachedStatus is the result of the latest query for a user.
type cachedStatus struct {
	code      session.Code   // OK, UserUnknown, UserInactive
	status    session.Status // if code is OK; Changed always
	queriedAt time.Time
	loginOnly bool // whether a recheck must ask, because it may return what the login has not

	username   string              // of the last login; empty if there was none at this instance
	credential session.Fingerprint // the last one seen, also if the recheck query does not return it
}

// answer returns the result of the recheck.
func (s cachedStatus) answer() (session.Status, error) {
	switch s.code {
	case session.OK:
		return s.status, nil
	case session.UserUnknown:
		return session.Status{}, session.Fail(s.code, errNoUser)
	}
	return session.Status{}, session.Fail(s.code, nil)
}

// recheck implements accountSource. Positive and negative answers are cached equally
// long. Negative ones are cached because a client may go on using the tokens of a
// disabled user, and each use would otherwise cause a query. A failure of the source is
// not cached by user: the circuit breaker records it for the whole source. Concurrent
// rechecks of one user share one query, which goes on when the context of one of them is
// done. A fresh recheck relies only on a query that was sent after it began.
func (p *postgresSource) recheck(ctx context.Context, id session.UserID, fresh bool) (session.Status, error) {
	now, key := p.now(), id.String()
	earliest := now.Add(-p.statusLifetime)
	if p.openedAt.After(earliest) { // answers of another source show only which passwords have changed
		earliest = p.openedAt
	}
	cached, ok := p.statuses.Get(key)
	if ok && !fresh && !cached.loginOnly && cached.queriedAt.After(earliest) {
		return cached.answer()
	}
	if p.recheckSQL == "" && cached.username == "" {
		return session.Status{}, nil // no login at this instance, and no query by id
	}
	if err := p.breaker.allow(now); err != nil {
		return session.Status{}, err
	}
	if fresh {
		earliest = now
	}
	for {
		result := p.inFlight.DoChan(key, func() (any, error) {
			return p.refreshStatus(context.WithoutCancel(ctx), id, cached.username)
		})
		select {
		case <-ctx.Done():
			return session.Status{}, unavailable(ctx.Err())
		case r := <-result:
			if r.Err != nil {
				return session.Status{}, r.Err
			}
			if s, _ := r.Val.(cachedStatus); !s.queriedAt.Before(earliest) {
				return s.answer()
			} // otherwise it is another caller's query, sent too early to be relied on here
		}
	}
}

// refreshStatus queries the status of a user, caches it and returns it. It fails with
// Unavailable.
func (p *postgresSource) refreshStatus(ctx context.Context, id session.UserID, username string) (cachedStatus, error) {
	s := cachedStatus{queriedAt: p.now()}
	var err error
	s.status, err = p.queryStatus(ctx, id, username)
	p.breaker.record(s.queriedAt, p.now(), asUnanswered(err))
	s.code, s.credential = session.CodeOf(err), s.status.Credential
	switch s.code {
	case session.OK, session.UserUnknown, session.UserInactive:
		return p.remember(id, s), nil
	}
	return cachedStatus{}, err
}

// remember caches a user's status, and returns it with the time of the last change of the
// credential. If the status of a later query is cached already, it returns that one. The
// time of a change is as late as another instance may rely on the former status, which it
// has queried just before the change.
func (p *postgresSource) remember(id session.UserID, s cachedStatus) cachedStatus {
	p.statuses.mu.Lock()
	defer p.statuses.mu.Unlock()
	cached, ok := p.statuses.Get(id.String())
	if ok && cached.queriedAt.After(s.queriedAt) {
		return cached
	}
	s.username = cmp.Or(s.username, cached.username)
	s.status.Changed = cached.status.Changed
	if !s.credential.Matches(cached.credential) {
		s.status.Changed = p.now().Add(p.statusLifetime)
	}
	if s.credential.IsZero() {
		s.credential = cached.credential
	}
	p.statuses.Put(id.String(), s)
	return s
}

// queryStatus queries the status of a user: by id if there is a query for that, otherwise
// by name. In the second case the name may belong to another user by now; then the user is
// unknown. It fails with UserUnknown only if the source has other users.
func (p *postgresSource) queryStatus(ctx context.Context, id session.UserID, username string) (session.Status, error) {
	status, err := p.queryUser(ctx, id, username)
	if session.CodeOf(err) == session.UserUnknown {
		if cannotTell := p.checkAnyUser(ctx); cannotTell != nil {
			err = cannotTell
		}
	}
	return status, err
}

// queryUser does the work of queryStatus without the check for other users.
func (p *postgresSource) queryUser(ctx context.Context, id session.UserID, username string) (session.Status, error) {
	if p.recheckSQL != "" {
		found, err := p.queryRow(ctx, p.recheckQuery(), id.String())
		if err != nil {
			return session.Status{}, err
		}
		return found.status(id, p.fingerprints)
	}
	a, status, err := p.findAccount(ctx, username)
	switch {
	case err != nil:
		return session.Status{}, err
	case a.ID.String() != id.String():
		return session.Status{}, session.Fail(session.UserUnknown, errNoUser)
	case !a.Active:
		return session.Status{}, session.Fail(session.UserInactive, nil)
	}
	return status, nil
}

// noProbe is the log message for a source that can't be checked for being empty.
const noProbe = "removed users can't be recognized, so a refresh of their sessions fails as if the user source were not available: it can't be checked whether the source has any user"

var errNoTable = errors.New("no table follows FROM in USERS_RECHECK_QUERY or USERS_QUERY")

// checkAnyUser returns an error with the code Unavailable if the source has no users at
// all, or if it can't be checked. An empty source opens the circuit breaker, since every
// recheck would get this error.
func (p *postgresSource) checkAnyUser(ctx context.Context) error {
	if p.anyUserSQL == "" {
		return unavailable(errNoTable)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var exists bool
	err := p.pool.QueryRow(ctx, p.anyUserSQL).Scan(&exists)
	if err != nil && asUnanswered(queryError(err)) == nil {
		p.warnOnce.Do(func() { p.log.Warn(noProbe, "query", p.anyUserSQL, "error", err) })
		return unavailable(err)
	}
	if err != nil {
		return queryError(err)
	}
	if !exists {
		return session.Fail(session.Unavailable, unansweredError{errNoUsers})
	}
	return nil
}
