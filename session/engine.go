package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
)

// App is one application that the engine fronts.
type App struct {
	Name           string
	Secrets        []string // each names and authenticates the app; no two apps share one
	Policies       map[Type]Policy
	AccessLifetime time.Duration
	Signer         Signer
	Checker        Checker
	UsersInStore   bool // the store's Directory is asked within each step
}

// Config is what an Engine is made of. Observer may be nil.
type Config struct {
	Apps        []App
	Store       Store
	Ledger      Ledger
	Revocations *Revocations
	Observer    Observer
	Now         func() time.Time // nil: time.Now. Only for checking tokens; sessions go by the store's clock
}

// Engine runs the steps. It holds no state that a decision rests on, so any
// number of them may serve the same store.
type Engine struct {
	Config
	key      [sha256.Size]byte // of this process; makes bySecret's timing useless to a guesser
	apps     map[string]*App
	bySecret map[[sha256.Size]byte]*App
	byHeader map[string][]*App // encoded JOSE header of own tokens → the apps that issue them
	all      []*App
}

// New checks cfg and makes an Engine of it.
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Ledger == nil || cfg.Revocations == nil {
		return nil, errors.New("session: Store, Ledger and Revocations are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	e := &Engine{
		Config:   cfg,
		apps:     map[string]*App{},
		bySecret: map[[sha256.Size]byte]*App{},
		byHeader: map[string][]*App{},
	}
	_, _ = rand.Read(e.key[:])
	for i := range cfg.Apps {
		if err := e.add(&cfg.Apps[i]); err != nil {
			return nil, fmt.Errorf("app %s: %w", cfg.Apps[i].Name, err)
		}
	}
	return e, nil
}

func (e *Engine) add(app *App) error {
	switch {
	case app.Signer == nil || app.Checker == nil:
		return errors.New("a signer and a checker are required")
	case app.AccessLifetime < time.Second:
		return fmt.Errorf("ACCESS_TOKEN_LIFETIME is %s: give at least 1s", app.AccessLifetime)
	case len(app.Secrets) == 0:
		return errors.New("SECRET_KEY is empty: give the secret that the app sends")
	case e.apps[app.Name] != nil:
		return errors.New("two apps have this name")
	}
	for _, t := range Types {
		p, ok := app.Policies[t]
		if !ok {
			return fmt.Errorf("no policy for %s sessions", t)
		}
		if err := p.Validate(); err != nil {
			return fmt.Errorf("%s_SESSION_%w", t, err)
		}
	}
	for _, secret := range app.Secrets {
		if other := e.bySecret[e.digest(secret)]; other != nil && other != app {
			return fmt.Errorf("SECRET_KEY is also that of app %s: it names the app, so give each its own", other.Name)
		}
		e.bySecret[e.digest(secret)] = app
	}
	if err := e.tellApart(app); err != nil {
		return err
	}
	for _, h := range app.Signer.Headers() {
		e.byHeader[h] = append(e.byHeader[h], app)
	}
	e.apps[app.Name] = app
	e.all = append(e.all, app)
	return nil
}

// tellApart refuses an app whose tokens would be good for another one, as they
// are when two apps share a key and nothing in the tokens says whose they are.
func (e *Engine) tellApart(app *App) error {
	for _, other := range e.all {
		if app.Signer.Trusts(other.Signer) || other.Signer.Trusts(app.Signer) {
			return fmt.Errorf("its access tokens and those of app %s would be good for each other: give each its own SIGNING_KEY and VERIFYING_KEYS, or its own AUDIENCE or ISSUER", other.Name)
		}
	}
	return nil
}

func (e *Engine) digest(secret string) [sha256.Size]byte {
	var buf [128]byte
	return sha256.Sum256(append(append(buf[:0], e.key[:]...), secret...))
}

// App gives an app by name, nil when there is none.
func (e *Engine) App(name string) *App { return e.apps[name] }

// LoginRequest is a login as it came over the wire.
type LoginRequest struct {
	Secret, Username, Password, Type, Info string
}

// Login checks secret, then credentials, then type, and begins a session.
// Fails with InvalidCredentials for either of the first two, InvalidType,
// LimitReached, Busy, Unavailable.
func (e *Engine) Login(ctx context.Context, req LoginRequest) (Tokens, error) {
	ev := Event{Step: StepLogin}
	tokens, created, err := e.login(ctx, req, &ev)
	e.observe(ctx, ev, err)
	e.observeEnded(ctx, ev, created.Evicted)
	return tokens, err
}

func (e *Engine) login(ctx context.Context, req LoginRequest, ev *Event) (Tokens, Created, error) {
	app := e.bySecret[e.digest(req.Secret)]
	if app == nil {
		return Tokens{}, Created{}, Fail(InvalidCredentials, errors.New("no app has this secret"))
	}
	ev.App = app.Name
	user, err := app.Checker.Check(ctx, req.Username, req.Password)
	if err != nil {
		return Tokens{}, Created{}, err
	}
	ev.User = user.ID.String()
	t, ok := ParseType(req.Type)
	if !ok {
		return Tokens{}, Created{}, Fail(InvalidType, nil)
	}
	ev.Type = t
	if err := app.signable(user, e.Now()); err != nil {
		return Tokens{}, Created{}, err
	}
	created, err := e.Store.Create(ctx, CreateStep{
		Owner:   Owner{app.Name, user.ID.String()},
		Session: Session{ID: NewID().As(t), Type: t, Info: req.Info, Claims: user.Claims},
		Policy:  app.Policies[t],
		Hash:    user.Hash,
	})
	if err != nil {
		return Tokens{}, Created{}, err
	}
	ev.Session = created.Session.ID
	tokens, err := app.issue(user.ID, created.Session, created.Now, true)
	tokens.Durability = created.Durability
	return tokens, created, err
}

// RefreshRequest is a refresh as it came over the wire.
type RefreshRequest struct {
	Secret, Type, Token string
}

// Refresh checks secret, then type, then token, and runs the step that the
// policy says. Fails with InvalidClient, InvalidType, TokenInvalid and the
// codes of Store.Refresh.
func (e *Engine) Refresh(ctx context.Context, req RefreshRequest) (Tokens, error) {
	ev := Event{Step: StepRefresh}
	tokens, err := e.refresh(ctx, req, &ev)
	e.observe(ctx, ev, err)
	if code := CodeOf(err); code == Replayed || code == TypeMismatch {
		e.observeEnded(ctx, ev, []Trace{{ID: ev.Session, Cause: CauseOf(err)}})
	}
	return tokens, err
}

func (e *Engine) refresh(ctx context.Context, req RefreshRequest, ev *Event) (Tokens, error) {
	app := e.bySecret[e.digest(req.Secret)]
	if app == nil {
		return Tokens{}, Fail(InvalidClient, nil)
	}
	ev.App = app.Name
	t, ok := ParseType(req.Type)
	if !ok {
		return Tokens{}, Fail(InvalidType, nil)
	}
	claims, expired := e.refreshClaims(app, req.Token)
	ev.about(claims)
	if expired != nil && CodeOf(expired) != Expired {
		return Tokens{}, expired
	}
	owner := Owner{app.Name, claims.User.String()}
	if err := app.Checker.Recheck(ctx, claims.User); err != nil {
		return Tokens{}, gone(err)
	}
	if claims.Type != t {
		return Tokens{}, known(e.mismatch(ctx, app, claims), expired)
	}
	done, err := e.Store.Refresh(ctx, RefreshStep{
		Owner:     owner,
		ID:        claims.Session,
		Type:      t,
		Presented: Presented{claims.Generation, claims.Expires},
		Policy:    app.Policies[t],
		CheckUser: app.UsersInStore,
	})
	if err != nil {
		return Tokens{}, known(gone(err), expired)
	}
	ev.Code = done.Code
	tokens, err := app.issue(claims.User, done.Session, done.Now, done.Session.Generation != claims.Generation)
	tokens.Durability = done.Durability
	return tokens, err
}

// mismatch ends a session whose current token was sent as another type's, or the
// one just spent within the retry window. An older one is what it always is: a
// replay, or refused.
func (e *Engine) mismatch(ctx context.Context, app *App, c Claims) error {
	step := logoutOf(app, c)
	step.Cause = CauseTypeMismatch
	if _, err := e.Store.Logout(ctx, step); err != nil {
		return err
	}
	return &Error{Code: TypeMismatch, Cause: CauseTypeMismatch}
}

// refreshClaims verifies a refresh token of app's.
func (e *Engine) refreshClaims(app *App, token string) (Claims, error) {
	claims, err := app.Signer.Verify(token, Refresh, e.Now())
	if err != nil && CodeOf(err) != Expired {
		err = Fail(Unknown, err) // a client learns no more of a refresh token than that it is none
	}
	return claims, err
}

// known is what a refresh or a logout with a token that is past its time came
// to. The store is asked all the same: the session may have been extended since,
// and then an old token is a replay. Where it knows nothing more, the time is the
// reason.
func known(err, expired error) error {
	if expired != nil && CodeOf(err) == Unknown {
		return &Error{Code: Expired, Cause: CauseExpired, Err: expired}
	}
	return err
}

// gone turns "no such user" into "no such session", which is how the seed
// answers where a refresh token, not an access token, is the credential.
func gone(err error) error {
	if CodeOf(err) == UserUnknown {
		return Fail(Unknown, err)
	}
	return err
}

// issue signs what a login or a refresh hands out, with the store's times.
func (a *App) issue(user UserID, s Session, now time.Time, refresh bool) (Tokens, error) {
	out := Tokens{Session: s.ID}
	c := Claims{
		Kind: Access, User: user, Session: s.ID, AuthTime: s.Created, Extra: s.Claims,
		Issued: now, Expires: now.Add(a.AccessLifetime),
	}
	var err error
	if out.Access, err = a.Signer.Sign(c); err != nil || !refresh {
		return out, internal(err)
	}
	c = Claims{
		Kind: Refresh, User: user, Session: s.ID, AuthTime: s.Created, Type: s.Type,
		Generation: s.Generation, Issued: s.Rotated, Expires: s.Expires,
	}
	out.Refresh, err = a.Signer.Sign(c)
	return out, internal(err)
}

func internal(err error) error {
	if err == nil {
		return nil
	}
	return Fail(Internal, err)
}

// Logout checks secret, then token, and ends its session. Fails with
// InvalidClient and the codes of Store.Logout.
func (e *Engine) Logout(ctx context.Context, secret, token string) (Receipt, error) {
	ev := Event{Step: StepLogout}
	receipt, err := e.logout(ctx, secret, token, &ev)
	e.observe(ctx, ev, err)
	if CodeOf(err) == Replayed {
		receipt.Ended = []Trace{{ID: ev.Session, Cause: CauseReplay}}
	}
	e.observeEnded(ctx, ev, receipt.Ended)
	return receipt, err
}

func (e *Engine) logout(ctx context.Context, secret, token string, ev *Event) (Receipt, error) {
	app := e.bySecret[e.digest(secret)]
	if app == nil {
		return Receipt{}, Fail(InvalidClient, nil)
	}
	ev.App = app.Name
	claims, expired := e.refreshClaims(app, token)
	ev.about(claims)
	if expired != nil && CodeOf(expired) != Expired {
		return Receipt{}, expired
	}
	if err := app.Checker.Recheck(ctx, claims.User); CodeOf(err) == UserUnknown {
		return Receipt{}, gone(err) // any other doubt about the user is no reason to keep a session
	}
	receipt, err := e.Store.Logout(ctx, logoutOf(app, claims))
	return receipt, known(err, expired)
}

// logoutOf ends the session that a refresh token names.
func logoutOf(app *App, c Claims) LogoutStep {
	return LogoutStep{
		Owner:     Owner{app.Name, c.User.String()},
		ID:        c.Session,
		Type:      c.Type,
		Presented: Presented{c.Generation, c.Expires},
		Policy:    app.Policies[c.Type],
	}
}

// List gives the caller's sessions of one type, or of "ALL". Fails with
// InvalidType and the codes of Store.List.
func (e *Engine) List(ctx context.Context, c Caller, types string) (Listed, []Type, error) {
	listed, asked, err := e.list(ctx, c, types)
	e.observe(ctx, c.event(StepList), err)
	return listed, asked, err
}

func (e *Engine) list(ctx context.Context, c Caller, types string) (Listed, []Type, error) {
	asked, err := parseTypes(types)
	if err != nil {
		return Listed{}, nil, err
	}
	listed, err := e.Store.List(ctx, ListStep{
		Owner: c.owner(), Caller: c.session(), Types: asked, CheckUser: c.App.UsersInStore,
	})
	return listed, asked, err
}

// Destroy ends one of the caller's sessions, which may be the one in use.
func (e *Engine) Destroy(ctx context.Context, c Caller, id string) (Receipt, error) {
	ev := c.event(StepDestroy)
	if !ID(id).Valid() {
		err := Fail(Unknown, nil)
		e.observe(ctx, ev, err)
		return Receipt{}, err
	}
	receipt, err := e.Store.End(ctx, EndStep{
		Owner: c.owner(), Caller: c.session(), ID: ID(id), Cause: CauseUser, CheckUser: c.App.UsersInStore,
	})
	e.observe(ctx, ev, err)
	e.observeEnded(ctx, ev, receipt.Ended)
	return receipt, err
}

// DestroyOthers ends the caller's sessions of one type, or of "ALL", except
// the one that a live refresh token of the same user names. Fails with
// InvalidType, else with Unknown and ends nothing when there is no such one.
func (e *Engine) DestroyOthers(ctx context.Context, c Caller, refresh, types string) (Receipt, error) {
	ev := c.event(StepOthers)
	receipt, err := e.destroyOthers(ctx, c, refresh, types)
	e.observe(ctx, ev, err)
	e.observeEnded(ctx, ev, receipt.Ended)
	return receipt, err
}

func (e *Engine) destroyOthers(ctx context.Context, c Caller, refresh, types string) (Receipt, error) {
	asked, err := parseTypes(types)
	if err != nil {
		return Receipt{}, err
	}
	keep, err := e.refreshClaims(c.App, refresh)
	if err != nil {
		return Receipt{}, err
	}
	if keep.User.String() != c.Claims.User.String() {
		return Receipt{}, Fail(Unknown, errors.New("the refresh token is another user's"))
	}
	return e.Store.EndOthers(ctx, EndOthersStep{
		Owner:          c.owner(),
		Caller:         c.session(),
		Keep:           keep.Session,
		KeepGeneration: keep.Generation,
		KeepWindow:     c.App.Policies[keep.Type].RetryWindow,
		Types:          asked,
		Cause:          CauseOthers,
		CheckUser:      c.App.UsersInStore,
	})
}

func parseTypes(s string) ([]Type, error) {
	if strings.EqualFold(strings.TrimSpace(s), "ALL") {
		return Types, nil
	}
	t, ok := ParseType(s)
	if !ok {
		return nil, Fail(InvalidType, nil)
	}
	return []Type{t}, nil
}

func (e *Engine) observe(ctx context.Context, ev Event, err error) {
	if e.Observer == nil {
		return
	}
	if err != nil {
		ev.Code, ev.Err = CodeOf(err), err
	} else if ev.Code == "" {
		ev.Code = OK
	}
	e.Observer.Observe(ctx, ev)
}

// observeEnded tells of sessions that a step ended. The list of revocations
// learns of them here at once, and by the feed in other instances.
func (e *Engine) observeEnded(ctx context.Context, ev Event, ended []Trace) {
	for _, t := range ended {
		if t.At.IsZero() {
			t.At = e.Now()
		}
		e.Revocations.Ended(Ending{Owner{ev.App, ev.User}, t})
		if e.Observer == nil {
			continue
		}
		ev.Session, ev.Code, ev.Cause, ev.By, ev.Err = t.ID, OK, t.Cause, t.By, nil
		e.Observer.Observe(ctx, ev)
	}
}
