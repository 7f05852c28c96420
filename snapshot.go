package main

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"tokengate/api"
	"tokengate/session"
	"tokengate/session/cli"
	"tokengate/session/config"
	"tokengate/session/password"
	"tokengate/session/token"
	"tokengate/session/users"
)

// snapshot has the parts of a gateway that are made of the settings: the engine, the user
// sources, and the HTTP server in front of them. They are never changed. New settings make a
// new snapshot.
type snapshot struct {
	cli.Gateway
	config        *config.Config
	apps          map[string]builtApp
	public, admin http.Handler
}

// builtApp has the parts of one app.
type builtApp struct {
	app     session.App
	wire    api.App
	source  *users.Source
	options users.Options // of source
}

// build makes a snapshot of settings that Read or Reread have returned. It takes over the
// apps and user sources of the previous snapshot whose settings are the same: they know
// connections, cached answers, and the users whose passwords have changed. An error in an
// app's settings is a [*session.AppError].
func (g *gateway) build(ctx context.Context, c *config.Config, previous *snapshot) (*snapshot, error) {
	next := &snapshot{Gateway: g.Gateway, config: c, apps: map[string]builtApp{}}
	next.Sources = map[string]*users.Source{}
	if err := g.fill(ctx, next, previous); err != nil {
		next.closeUnlessIn(previous)
		return nil, err
	}
	return next, nil
}

// fill makes the parts of the next snapshot. When it fails, some are missing.
func (g *gateway) fill(ctx context.Context, next, previous *snapshot) (err error) {
	c := next.config
	engine := session.Config{
		Store: g.store, Limiter: g.limiter, Revocations: g.revocations, OperatorSecrets: c.Secrets(), Observer: api.NewObserver(g.metrics, g.Log),
	}
	wire := map[string]api.App{}
	for _, name := range c.Names {
		built, err := g.buildApp(ctx, next, name, previous)
		if err != nil {
			return &session.AppError{App: name, Err: err}
		}
		next.apps[name], next.Sources[name], wire[name] = built, built.source, built.wire
		engine.Apps = append(engine.Apps, built.app)
	}
	if next.Engine, err = session.New(engine); err != nil {
		return err
	}
	if err := next.ManageAccounts(c.ByApp, g.queue); err != nil {
		return err
	}
	server, err := api.New(api.Options{
		Engine: next.Engine, Logger: g.Log, Metrics: g.metrics, Apps: wire, TrustedProxies: c.TrustedProxies.Value,
		AdminToken: string(c.AdminToken), Accounts: next.Accounts, Pauses: &g.pauses, Process: g.process, Draining: g.listeners.Draining, Ready: g.ready,
	})
	if err != nil {
		return err
	}
	next.public, next.admin = server.Public(), server.Admin()
	return nil
}

// buildApp builds one app's signer and user source.
func (g *gateway) buildApp(ctx context.Context, next *snapshot, name string, previous *snapshot) (built builtApp, err error) {
	a, before := next.config.ByApp[name], previous.apps[name]
	if before.source != nil && a.Equal(previous.config.ByApp[name]) {
		return before, nil
	}
	signer, err := token.New(token.Options{
		App: name, Algorithm: a.Algorithm, SigningKey: string(a.SigningKey), VerifyingKeys: string(a.VerifyingKeys), RefreshKeys: a.RefreshKey,
		Issuer: a.Issuer, Audience: a.Audience, Leeway: a.Leeway.Value, Profile: a.TokenProfile,
		UserIDClaim: a.UserIDClaim, TokenTypeClaim: a.TokenTypeClaim, JTIClaim: a.JTIClaim,
	})
	if err != nil {
		return builtApp{}, err
	}
	built.options = g.usersOptions(name, a)
	built.source = before.source
	if built.source == nil || a.Users != previous.config.ByApp[name].Users || !reflect.DeepEqual(built.options, before.options) {
		o := built.options
		o.Previous = before.source
		if built.source, err = openUsers(ctx, next.config.Demo, a, o); err != nil {
			return builtApp{}, err
		}
	}
	next.AddWarnings(next.config.SettingPrefix(name), append(a.Warnings(), signer.Warnings()...))
	built.app = session.App{
		Name: name, Secrets: a.SecretKey, Policies: a.Policies(), AccessLifetime: a.AccessTokenLifetime.Value,
		Signer: signer, Devices: signer, Checker: built.source, UsersInStore: built.source.UsersInStore(),
		LoginAttempts: a.LoginAttempts.Value, LoginAttemptsPerNetwork: a.LoginAttemptsPerNetwork.Value,
		AccountKey: users.AccountKey(a.AccountKeySecret(name)),
	}
	built.wire = api.App{HeaderTypes: a.AuthHeaderTypes, HeaderName: a.AuthHeaderName, UsernameField: a.UsernameField, JWKS: signer.JWKS}
	return built, nil
}

// usersOptions returns the options of an app's user source.
func (g *gateway) usersOptions(name string, a config.App) users.Options {
	return users.Options{
		EndOnChange: a.SessionEndsOnPasswordChange.Value, UsernameField: a.UsernameField, Query: a.UsersQuery, RecheckQuery: a.UsersRecheckQuery,
		Recheck: users.Recheck(a.RecheckUser.Value), Queue: g.queue, Log: g.Log, Directory: g.Directory, App: name, DummyKey: a.DummyKey(name),
	}
}

// openUsers opens one app's user source. By default the demo app has one generated user.
func openUsers(ctx context.Context, demo *config.Demo, a config.App, o users.Options) (*users.Source, error) {
	if demo.HasGeneratedUser(a) {
		user := session.Account{ID: session.NumberID(1), Username: config.DemoName, Password: password.NewHash(string(demo.Password)), Active: true}
		return users.Static([]session.Account{user}, o)
	}
	o.Nearest = config.Nearest // set here, because functions can't be compared
	return users.Open(ctx, string(a.Users), o)
}

// closeUnlessIn closes the user sources that another snapshot does not have.
func (old *snapshot) closeUnlessIn(other *snapshot) {
	for name, source := range old.Sources {
		if other.apps[name].source != source {
			_ = source.Close() // nothing else uses it
		}
	}
}

// retireDelay is longer than a request takes: package listen allows 15 s to read it and 45 s to
// answer it.
const retireDelay = 2 * time.Minute

// retire closes what the next snapshot does not use, when the last request of this one is
// done.
func (old *snapshot) retire(next *snapshot) {
	time.AfterFunc(retireDelay, func() { old.closeUnlessIn(next) })
}
