package session_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
	"tokengate/session/storetest"
)

// signer implements [session.Signer] without cryptography. A token is the key, a
// dot and the claims. Apps with the same key accept each other's tokens.
type signer struct {
	key     string
	issued  atomic.Int64 // access tokens
	signErr error        // if not nil, Sign fails with it
}

// tokenContent is the claims as a token holds them: in whole seconds, and with a
// number that makes each access token different.
type tokenContent struct {
	session.Claims
	Issued, Expires, AuthTime int64
	Number                    int64
	Secret                    []byte // session.Secret does not show itself in JSON
}

func (s *signer) Sign(c session.Claims) (string, error) {
	if s.signErr != nil {
		return "", s.signErr
	}
	content := tokenContent{Claims: c, Issued: c.Issued.Unix(), Expires: c.Expires.Unix(), AuthTime: c.AuthTime.Unix(), Secret: c.Secret[:]}
	if c.Kind == session.KindAccess {
		content.Number = s.issued.Add(1)
	}
	raw, err := json.Marshal(content)
	return s.key + "." + base64.RawURLEncoding.EncodeToString(raw), err
}

func (s *signer) Verify(token string, kind session.Kind, clock session.Clock) (session.Claims, error) {
	key, body, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	var content tokenContent
	if key != s.key || err != nil || json.Unmarshal(raw, &content) != nil {
		return session.Claims{}, session.Fail(session.TokenInvalid, nil)
	}
	c := content.Claims
	if string(c.Extra) == "null" {
		c.Extra = nil
	}
	c.Issued, c.Expires, c.AuthTime = time.Unix(content.Issued, 0), time.Unix(content.Expires, 0), time.Unix(content.AuthTime, 0)
	copy(c.Secret[:], content.Secret)
	now, err := clock.StoreNow(c.User)
	switch {
	case err != nil:
		return session.Claims{}, err
	case c.Kind != kind:
		return session.Claims{}, session.Fail(session.TokenWrongKind, nil)
	case !now.Before(c.Expires) && kind == session.KindRefresh:
		return c, session.Fail(session.Expired, nil)
	case !now.Before(c.Expires):
		return session.Claims{}, session.Fail(session.TokenInvalid, nil)
	}
	return c, nil
}

// SecretSetting implements [session.Signer]. The signer's only secret is its key.
func (s *signer) SecretSetting(text string) string {
	if strings.TrimSpace(text) == s.key {
		return "SIGNING_KEY"
	}
	return ""
}

// SignDevice returns the device as JSON.
func (s *signer) SignDevice(d session.Device) (string, error) {
	if s.signErr != nil {
		return "", s.signErr
	}
	b, err := json.Marshal(d)
	return s.key + "." + string(b), err
}

func (s *signer) VerifyDevice(token string, now time.Time) (d session.Device, err error) {
	text, own := strings.CutPrefix(token, s.key+".")
	if !own || json.Unmarshal([]byte(text), &d) != nil || !now.Before(d.Expires) {
		return session.Device{}, session.Fail(session.TokenInvalid, nil)
	}
	return d, nil
}

func (s *signer) Headers() []string { return []string{s.key} }

func (s *signer) Trusts(other session.Signer) bool { return other.(*signer).key == s.key }

// checker implements [session.Checker]. A user's password is their username. The
// zero value has no users.
type checker struct {
	users         map[string]session.User   // by username
	checkErr      error                     // if not nil, Check fails with it
	recheckErrs   map[string]error          // what Recheck fails with, by user ID
	statuses      map[string]session.Status // what Recheck returns, by user ID
	freshen       func()                    // called by a fresh Recheck, before it answers
	freshRechecks int
	compared      int  // passwords
	stalls        bool // Recheck waits until its context is done
}

func (c *checker) Check(_ context.Context, presented session.Credentials, found func(session.Found) error) (session.User, error) {
	username, password := presented.Username, presented.Password
	user, ok := c.users[username]
	if err := found(session.Found{ID: user.ID, Credential: user.Credential}); err != nil {
		return session.User{}, err
	}
	c.compared++
	switch {
	case c.checkErr != nil:
		return session.User{}, c.checkErr
	case !ok || password != username:
		return session.User{}, session.Fail(session.InvalidCredentials, nil)
	}
	return user, nil
}

func (c *checker) Recheck(ctx context.Context, id session.UserID, fresh bool) (session.Status, error) {
	if c.stalls {
		<-ctx.Done()
		return session.Status{}, session.Fail(session.Unavailable, ctx.Err())
	}
	if fresh {
		c.freshRechecks++
		if c.freshen != nil {
			c.freshen()
		}
	}
	return c.statuses[id.String()], c.recheckErrs[id.String()]
}

// observer implements [session.Observer] and records the events.
type observer struct {
	mu     sync.Mutex
	events []session.Event
}

func (o *observer) Observe(_ context.Context, e session.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// take returns the events since the last take as "step app/user code cause",
// separated by semicolons.
func (o *observer) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for _, e := range o.events {
		line := fmt.Sprintf("%s %s/%s %s", e.Step, e.App, e.User, e.Code)
		if e.Cause != "" {
			line += " " + string(e.Cause)
		}
		lines = append(lines, line)
	}
	o.events = nil
	return strings.Join(lines, "; ")
}

// flakyLimiter is a limiter that can be unavailable.
type flakyLimiter struct {
	session.Limiter
	down bool
}

func (l *flakyLimiter) Reserve(ctx context.Context, a session.Attempt) error {
	if l.down {
		return session.Fail(session.Unavailable, errors.New("no route to host"))
	}
	return l.Limiter.Reserve(ctx, a)
}

// flakyStore is a store that can be unavailable and counts the steps that it is
// asked for, except Tombstones and Ready.
type flakyStore struct {
	*memstore.Store
	down  bool
	many  bool // RevokeOthers does not name the sessions
	calls int
	asked []session.Owner // whether they are ready

	offset      time.Duration // of the store's clock
	offsetFails session.Code  // empty means that the offset is known
}

func (f *flakyStore) call() error {
	f.calls++
	if f.down {
		return session.Fail(session.Unavailable, errors.New("no route to host"))
	}
	return nil
}

func (f *flakyStore) Create(ctx context.Context, step session.CreateStep) (out session.CreateResult, err error) {
	if err = f.call(); err == nil {
		out, err = f.Store.Create(ctx, step)
	}
	return out, err
}

func (f *flakyStore) Refresh(ctx context.Context, step session.RefreshStep) (out session.RefreshResult, err error) {
	if err = f.call(); err == nil {
		out, err = f.Store.Refresh(ctx, step)
	}
	return out, err
}

func (f *flakyStore) List(ctx context.Context, step session.ListStep) (out session.ListResult, err error) {
	if err = f.call(); err == nil {
		out, err = f.Store.List(ctx, step)
	}
	return out, err
}

func (f *flakyStore) Revoke(ctx context.Context, step session.RevokeStep) (out session.RevokeResult, err error) {
	if err = f.call(); err == nil {
		out, err = f.Store.Revoke(ctx, step)
	}
	return out, err
}

func (f *flakyStore) RevokeOthers(ctx context.Context, step session.RevokeOthersStep) (out session.RevokeResult, err error) {
	if err = f.call(); err == nil {
		out, err = f.Store.RevokeOthers(ctx, step)
	}
	if f.many {
		out = storetest.Unnamed(step, out)
	}
	return out, err
}

func (f *flakyStore) Logout(ctx context.Context, step session.LogoutStep) (out session.RevokeResult, err error) {
	if err = f.call(); err == nil {
		out, err = f.Store.Logout(ctx, step)
	}
	return out, err
}

func (f *flakyStore) Live(ctx context.Context, step session.LiveStep) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.Store.Live(ctx, step)
}

func (f *flakyStore) CheckToken(ctx context.Context, step session.RefreshStep) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.Store.CheckToken(ctx, step)
}

// Ready records the owner, and fails if the store is down.
func (f *flakyStore) Ready(_ context.Context, owner session.Owner) error {
	f.asked = append(f.asked, owner)
	if f.down {
		return session.Fail(session.Unavailable, errors.New("no route to host"))
	}
	return nil
}

// ClockOffset returns f.offset, or fails if it is not known.
func (f *flakyStore) ClockOffset(context.Context, session.Owner) (time.Duration, error) {
	if f.offsetFails != "" {
		return 0, session.Fail(f.offsetFails, nil)
	}
	return f.offset, nil
}

func (f *flakyStore) RevokeApp(ctx context.Context, app string) (out session.RevokeResult, err error) {
	if err = f.call(); err == nil {
		out, err = f.Store.RevokeApp(ctx, app)
	}
	return out, err
}
