// Command tokengate is a stateless token gateway: it checks credentials, issues access
// and refresh tokens, and keeps every user's sessions in Redis. README.md describes it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"tokengate/api"
	"tokengate/redisstore"
	"tokengate/session"
	"tokengate/session/cli"
	"tokengate/session/config"
	"tokengate/session/memstore"
	"tokengate/session/password"
	"tokengate/session/token"
	"tokengate/session/users"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // most allocations are short-lived; a higher value costs too much memory at 256 connections
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Executable: password.ThisProgram()})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tokengate:", err)
		os.Exit(1)
	}
}

// run runs one command with its arguments. It returns when the command is done.
func run(ctx context.Context, args []string, std cli.Stdio) error {
	program := cli.Program{Serve: serve, ServeWorker: password.ServeWorker}
	program.Assemble = func(ctx context.Context, c *config.Config, std cli.Stdio) (*cli.Gateway, error) {
		g, err := assemble(ctx, c, std)
		if err != nil {
			return nil, err
		}
		return &g.Gateway, nil
	}
	return program.Run(ctx, args, std)
}

// gateway is the assembled program.
type gateway struct {
	cli.Gateway
	config    *config.Config
	registry  *prometheus.Registry
	store     session.Store
	feed      session.Feed
	listeners *api.Listeners
	cert      *api.Certificate // of the public listener; nil without TLS
	server    *api.Server
	worker    *password.Worker
}

// assemble connects the parts. It opens no connection.
func assemble(ctx context.Context, c *config.Config, std cli.Stdio) (*gateway, error) {
	g := &gateway{config: c, registry: prometheus.NewRegistry()}
	var err error
	if g.Log, err = api.NewLogger(std.Err, c.LogLevel.Value, c.LogFormat); err != nil {
		return nil, fmt.Errorf("%sLOG_%w", config.Prefix, err)
	}
	g.Sources = map[string]*users.Source{}
	g.listeners = &api.Listeners{Logger: g.Log, IdleTimeout: c.IdleTimeout.Value, Delay: c.ShutdownDelay.Value, Grace: c.ShutdownGrace.Value}
	if c.TLSCertFile != "" {
		if g.cert, err = api.LoadCertificate(c.TLSCertFile, c.TLSKeyFile); err != nil {
			return nil, fmt.Errorf("%sTLS_%w", config.Prefix, err)
		}
	}
	g.worker = &password.Worker{Path: std.Executable, Args: []string{cli.WorkerCommand}, Log: g.Log}
	if err := g.openStore(); err != nil {
		return nil, err
	}
	return g, g.openEngine(ctx)
}

// openStore opens the session store: Redis, or the memory of this process.
func (g *gateway) openStore() error {
	if g.config.InMemory() {
		store := memstore.New(memstore.Options{Retention: g.config.LongestAccess()})
		g.store, g.feed, g.Directory, g.Storage = store, store, store.Directory(), cli.MemoryStorage{}
		return nil
	}
	var store *redisstore.Store
	metrics, err := api.NewStoreMetrics(g.registry, func() api.Connections { return api.Connections(store.Connections()) })
	if err != nil {
		return err
	}
	o, settings := redisstore.Defaults(), g.config.Redis
	o.URL, o.Prefix = string(settings.URL), settings.Prefix
	o.WaitReplicas, o.WaitTimeout = settings.WaitReplicas.Value, settings.WaitTimeout.Value
	o.Retention = max(o.Retention, g.config.LongestAccess())
	o.LimitPollInterval(g.config.RevocationBound.Value)
	o.Observe, o.ObserveClock, o.Logger = metrics.ObserveScript, metrics.ObserveClock, g.Log
	if store, err = redisstore.New(o); err != nil {
		return fmt.Errorf("%sREDIS_%w", config.Prefix, err)
	}
	g.store, g.feed, g.Directory, g.Storage = store, store, store.Directory(), store
	return nil
}

// openEngine builds the engine and the HTTP server in front of it.
func (g *gateway) openEngine(ctx context.Context) error {
	queue := password.NewQueue(0, 0, g.worker)
	revocations := session.NewRevocationList(g.config.LongestAccess(), g.config.RevocationBound.Value, nil)
	engine, apps := session.Config{Store: g.store, Revocations: revocations, OperatorSecrets: g.config.Secrets()}, map[string]api.App{}
	for _, name := range g.config.Apps {
		app, wire, err := g.openApp(ctx, name, g.config.ByApp[name], queue)
		if err != nil {
			return fmt.Errorf("%s%w", config.AppPrefix(name), err)
		}
		engine.Apps, apps[name] = append(engine.Apps, app), wire
	}
	metrics, err := api.NewMetrics(g.registry)
	if err != nil {
		return err
	}
	if err := metrics.WatchRevocations(revocations); err != nil {
		return err
	}
	engine.Observer = api.NewObserver(metrics, g.Log)
	if g.Engine, err = session.New(engine); err != nil {
		return err
	}
	if err := g.ManageAccounts(g.config.ByApp, queue); err != nil {
		return err
	}
	g.server, err = api.New(api.Options{
		Engine: g.Engine, Logger: g.Log, Metrics: metrics, Apps: apps, TrustedProxies: g.config.TrustedProxies.Value,
		AdminToken: string(g.config.AdminToken), Accounts: g.Accounts, Draining: g.listeners.Draining, Ready: g.Ping,
	})
	return err
}

// openApp builds one app's signer and user source.
func (g *gateway) openApp(ctx context.Context, name string, a config.App, queue *password.Queue) (session.App, api.App, error) {
	signer, err := token.New(token.Options{
		App: name, Algorithm: a.Algorithm, SigningKey: string(a.SigningKey), VerifyingKeys: string(a.VerifyingKeys), RefreshKeys: a.RefreshKey,
		Issuer: a.Issuer, Audience: a.Audience, Leeway: a.Leeway.Value, Profile: a.TokenProfile,
		UserIDClaim: a.UserIDClaim, TokenTypeClaim: a.TokenTypeClaim, JTIClaim: a.JTIClaim,
	})
	if err != nil {
		return session.App{}, api.App{}, err
	}
	source, err := g.openUsers(ctx, name, a, queue)
	if err != nil {
		return session.App{}, api.App{}, err
	}
	g.Sources[name] = source
	g.AddWarnings(config.AppPrefix(name), append(a.Warnings(), signer.Warnings()...))
	app := session.App{
		Name: name, Secrets: a.SecretKey, Policies: a.Policies(), AccessLifetime: a.AccessTokenLifetime.Value,
		Signer: signer, Checker: source, UsersInStore: source.UsersInStore(),
	}
	return app, api.App{HeaderTypes: a.AuthHeaderTypes, HeaderName: a.AuthHeaderName, UsernameField: a.UsernameField, JWKS: signer.JWKS}, nil
}

// openUsers opens one app's user source. By default the demo app has one generated user.
func (g *gateway) openUsers(ctx context.Context, name string, a config.App, queue *password.Queue) (*users.Source, error) {
	o := users.Options{
		EndOnChange: a.SessionEndsOnPasswordChange.Value, UsernameField: a.UsernameField, Query: a.UsersQuery, RecheckQuery: a.UsersRecheckQuery,
		Recheck: users.Recheck(a.RecheckUser.Value), Queue: queue, Log: g.Log, Directory: g.Directory, App: name, DummyKey: a.DummyKey(name),
		Nearest: config.Nearest,
	}
	if demo := g.config.Demo; demo.HasGeneratedUser(a) {
		user := session.Account{ID: session.NumberID(1), Username: config.DemoName, Password: password.NewHash(string(demo.Password)), Active: true}
		return users.Static([]session.Account{user}, o)
	}
	return users.Open(ctx, string(a.Users), o)
}

// serve answers requests until ctx is done. Then it lets those in flight finish.
func serve(ctx context.Context, c *config.Config, std cli.Stdio) error {
	logs := &api.LogBuffer{W: std.Err}
	defer logs.Flush()
	std.Err = logs
	g, err := assemble(ctx, c, std)
	if err != nil {
		return err
	}
	defer g.Close()
	defer g.worker.Close()
	address, err := g.listeners.Listen(c.Listen, g.server.Public(), g.cert)
	if err != nil {
		return fmt.Errorf("TOKENGATE_LISTEN: %w", err)
	}
	if c.AdminListen != "" {
		if _, err := g.listeners.Listen(c.AdminListen, g.server.Admin(), nil); err != nil {
			return fmt.Errorf("TOKENGATE_ADMIN_LISTEN: %w", err)
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go g.FollowRevocations(background, g.feed)
	go g.Inspect(background)
	cli.PrintWalkthrough(std.Out, address, g.cert != nil, c.Demo)
	return g.listeners.Wait(ctx)
}
