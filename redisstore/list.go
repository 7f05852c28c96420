package redisstore

import (
	"context"
	"slices"
	"time"

	"tokengate/session"
)

// List implements [session.Store]. It reads the sessions page by page, which is one page for
// nearly every user. A large list, of more pages, is read with pauses.
func (s *Store) List(ctx context.Context, step session.ListStep) (session.ListResult, error) {
	var found foundSessions
	for p := (&page{}); p != nil; {
		start := time.Now()
		r, err := s.run(ctx, s.list, s.newListCall(step, *p), noReplicas)
		if err != nil {
			return session.ListResult{}, err
		}
		if p, err = found.read(&r, step.Types); err != nil {
			return session.ListResult{}, err
		}
		if p == nil {
			break
		}
		if err := found.pause(ctx, time.Since(start)); err != nil {
			return session.ListResult{}, err
		}
		step.CheckUser, step.Caller = false, ""
		ctx = session.AnyTime(ctx) // the first page was in time
	}
	return found.result(step), nil
}

// maxPause bounds the pause between two pages.
const maxPause = 20 * time.Millisecond

// pause is called between two pages, with the time that the former took. Before the second
// one it enters the list as a large one. The pause is three times as long as the page took:
// reading without a break would take a processor of this instance and one of Redis from the
// steps of others.
func (f *foundSessions) pause(ctx context.Context, took time.Duration) error {
	if f.pages == 1 {
		if err := session.EnterLargeList(ctx); err != nil {
			return err
		}
	}
	select {
	case <-time.After(min(3*took, maxPause)):
		return nil
	case <-ctx.Done():
		return session.Fail(session.Unavailable, ctx.Err())
	}
}

// page is the place of a page in the order of the sessions: by their types in the order of
// the request, then by their expiry, then by their IDs. It begins after this session. The
// zero value is the first page.
type page struct {
	types  int64 // number of types before that of the session
	expiry string
	id     session.ID
}

// newListCall returns the call that reads one page.
func (s *Store) newListCall(step session.ListStep, p page) *call {
	c, keys := newCall(), s.schema.owner(step.Owner)
	keys.addNotBefore(c)
	keys.addTombstones(c)
	keys.addAccount(c)
	keys.addTypes(c, requestedFirst(step.Types))
	s.addFirstArgs(c, step.Owner)
	c.addBool(step.CheckUser)
	c.addID(step.Caller)
	c.addInt(int64(len(step.Types)))
	c.addInt(p.types)
	c.add(p.expiry)
	c.add(string(p.id))
	return c
}

// foundSessions collects the pages of a list.
type foundSessions struct {
	records []record
	last    reply // of the last page
	pages   int
}

// read adds the page that a reply of lua/list.lua has. It returns where the next page begins,
// or nil if there is none.
func (f *foundSessions) read(r *reply, types []session.Type) (next *page, err error) {
	for i, t := range types {
		ids, _ := element[[]any](r.elements, 4+3*i)
		fields, _ := element[[]any](r.elements, 5+3*i)
		values, _ := element[[]any](r.elements, 6+3*i)
		if f.records, err = appendSessions(f.records, ids, fields, values, t); err != nil {
			return nil, err
		}
	}
	f.last, f.pages = *r, f.pages+1
	if _, err = r.now(); err != nil {
		return nil, err
	}
	place, _ := element[[]any](r.elements, 3)
	if len(place) == 0 {
		return nil, nil
	}
	n, ok := element[int64](place, 0)
	expiry, _ := element[string](place, 1)
	id, _ := element[string](place, 2)
	if !ok || id == "" {
		return nil, session.Fail(session.Internal, errReply)
	}
	return &page{n, expiry, session.ID(id)}, nil
}

// result returns the list without the sessions that have expired or were revoked with their
// app by the time of the last page. A session that a refresh has extended since its page was
// read is on two pages: the later one is right.
func (f *foundSessions) result(step session.ListStep) (result session.ListResult) {
	result.Now, _ = f.last.now()
	seen := map[session.ID]bool{}
	for _, rec := range slices.Backward(f.records) {
		if f.pages > 1 {
			if seen[rec.ID] {
				continue
			}
			seen[rec.ID] = true
		}
		if p, ok := step.Policies[rec.Type]; ok {
			rec.Session = p.Clamp(rec.Session)
		}
		if _, expired := session.ExpiryCause(rec.Session, result.Now); !expired && rec.notBefore >= f.last.notBefore() {
			result.Sessions = append(result.Sessions, rec.Session)
		}
	}
	slices.SortFunc(result.Sessions, session.ByCreated)
	return result
}
