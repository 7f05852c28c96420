package api

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"tokengate/session"
)

// Bounds of large lists, those of more than one page. An app's large lists are worked on one
// after the other, so that they slow down neither its other requests nor other apps. A client
// that does not read its answer loses it. A list that waits holds one page.
const (
	maxLargeLists     = 4 // of all apps at a time: each is up to 80 MB
	maxWaitingLists   = 8 // of one app
	largeListPatience = 4 * time.Second
)

// largeLists bounds how many large lists this instance works on, from their second page on
// until the answer is written.
type largeLists struct {
	places chan struct{} // holds one element for each list in work

	mu   sync.Mutex
	apps map[string]*appLists
}

// appLists is the part of one app.
type appLists struct {
	place   chan struct{} // holds an element while a list is in work
	waiting atomic.Int32
}

func newLargeLists() *largeLists {
	return &largeLists{places: make(chan struct{}, maxLargeLists), apps: map[string]*appLists{}}
}

// largeList is one list of an app, which may turn out to be large.
type largeList struct {
	all     *largeLists
	name    string    // of the app
	app     *appLists // nil before enter
	entered bool
}

func (l *largeLists) of(app string) *largeList { return &largeList{all: l, name: app} }

// part returns the part of an app, which has lists and therefore exists.
func (l *largeLists) part(app string) *appLists {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.apps[app] == nil {
		l.apps[app] = &appLists{place: make(chan struct{}, 1)}
	}
	return l.apps[app]
}

// context returns a context for the list's step, which enters when the list is large.
func (l *largeList) context(ctx context.Context) context.Context {
	return session.WithLargeList(ctx, func() error { return l.enter(ctx) })
}

// enter waits for a place. It fails with Busy if there is none in time.
func (l *largeList) enter(ctx context.Context) error {
	l.app = l.all.part(l.name)
	defer l.app.waiting.Add(-1)
	if l.app.waiting.Add(1) > maxWaitingLists {
		return session.Fail(session.Busy, nil)
	}
	ctx, cancel := context.WithTimeout(ctx, largeListPatience)
	defer cancel()
	if !take(ctx, l.app.place) {
		return session.Fail(session.Busy, nil)
	}
	if !take(ctx, l.all.places) {
		<-l.app.place
		return session.Fail(session.Busy, nil)
	}
	l.entered = true
	return nil
}

// take adds an element to places as soon as there is room. It reports whether there was before
// ctx was done.
func take(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// leave frees the place of the list, if it has one. Call it when the answer is written.
func (l *largeList) leave() {
	if l.entered {
		<-l.all.places
		<-l.app.place
	}
}

// partSize is how much of a large list is encoded before it is sent, in bytes, and partTime how
// long a client may take to read as much. Then its connection is closed, because others wait
// for the place of its list.
const (
	partSize = 128 << 10
	partTime = 5 * time.Second
)

// sendPart sends what there is of the answer if it is enough for a part of a large list, and
// returns what remains: the last byte, by which the next item knows whether it is the first.
// It then leaves the processor to other requests.
func (l *largeList) sendPart(x *exchange, b []byte) []byte {
	if !l.entered || len(b) < partSize {
		return b
	}
	last := b[len(b)-1]
	x.limitWrite(partTime)
	x.write(http.StatusOK, b[:len(b)-1])
	time.Sleep(time.Millisecond)
	return append(b[:0], last)
}
