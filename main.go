// Command tokengate is a stateless token gateway: it checks credentials, issues
// access and refresh tokens and keeps every user's sessions in Redis. See README.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tokengate/api"
	"tokengate/redisstore"
	"tokengate/session"
	"tokengate/session/credential"
	"tokengate/session/memstore"
	"tokengate/session/settings"
	"tokengate/session/token"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // a gateway keeps little and makes much garbage; more costs memory that 256 connections feel
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Environ(), stdio{os.Stdin, os.Stdout, os.Stderr, credential.ThisProgram()})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tokengate:", err)
		os.Exit(1)
	}
}

// stdio is what a command reads and prints to.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	self     string // path of the program; empty: it is not to run itself
}

// workerCommand has the program hash passwords for the one that started it.
const workerCommand = "hash-passwords"

const usage = `usage: tokengate [command]

  serve      answer requests (the default)
  env        print every setting with its default and meaning (--markdown: as README has them)
  check      validate the settings and reach Redis and the user sources, without serving
  user       manage the users of an app with USERS=redis: (add, passwd, disable, enable, list, import)
  sessions   show or end a user's sessions (list, end)
  version    print the version
`

// run is the program: one command with its arguments and its environment. It
// returns when the command is done or, for serve, when ctx is.
func run(ctx context.Context, args, environ []string, std stdio) error {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	env := settings.NewEnv(environ)
	if bare := command == "serve" || command == "check" || command == "version"; bare && len(args) > 0 {
		return fmt.Errorf("%s takes no arguments; settings come from the environment, see `tokengate env`", command)
	}
	switch command {
	case "serve":
		return serve(ctx, env, std)
	case "check":
		return check(ctx, env, std)
	case "env":
		return settings.Command(std.out, allSettings(), args)
	case "user", "sessions":
		return operate(ctx, env, std, command, args)
	case "version":
		_, err := fmt.Fprintln(std.out, "tokengate", version(), runtime.Version())
		return err
	case workerCommand:
		return credential.ServeWorker(std.in, std.out)
	case "help", "-h", "--help":
		_, err := fmt.Fprint(std.out, usage)
		return err
	}
	return fmt.Errorf("%q is no command\n%s", command, usage)
}

// released is the version that a build names with -ldflags "-X main.released=…",
// as the image's does: it is built where no commit is known.
var released string

// version is released, else the commit that the binary was built from, else the
// module's version.
func version() string {
	if released != "" {
		return released
	}
	info, _ := debug.ReadBuildInfo() // there in every binary built with modules
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}

// process is the settings of the whole process, under TOKENGATE_.
type process struct {
	Listen          string             `env:"LISTEN" desc:"public API"`
	AdminListen     string             `env:"ADMIN_LISTEN" desc:"health, metrics and admin API; empty switches it off"`
	AdminToken      string             `env:"ADMIN_TOKEN" secret:"true" desc:"bearer token of the admin API; without it that API answers 403"`
	Redis           redisstore.Options `env:"REDIS_"`
	Apps            []string           `env:"APPS" desc:"names of the apps, comma-separated; with in-memory sessions the default is demo"`
	TrustedProxies  api.Networks       `env:"TRUSTED_PROXIES" desc:"CIDRs whose X-Forwarded-* is believed"`
	RevocationBound time.Duration      `env:"REVOCATION_BOUND" desc:"how long access tokens are checked against the list of ended sessions without news from Redis; then Redis is asked for each"`
	LogLevel        slog.Level         `env:"LOG_LEVEL" desc:"debug, info, warn or error"`
	LogFormat       string             `env:"LOG_FORMAT" desc:"text, or json for production"`
	ShutdownDelay   time.Duration      `env:"SHUTDOWN_DELAY" desc:"time from SIGTERM, when /readyz turns 503, until no more connections are accepted"`
	ShutdownGrace   time.Duration      `env:"SHUTDOWN_GRACE" desc:"time for requests in flight at SIGTERM"`
}

func defaultProcess() process {
	return process{
		Listen: "127.0.0.1:8000", AdminListen: "127.0.0.1:9000", Redis: redisstore.Defaults(),
		RevocationBound: 10 * time.Second, LogFormat: "text",
		ShutdownDelay: time.Second, ShutdownGrace: 15 * time.Second,
	}
}

const envPrefix = "TOKENGATE_"

func allSettings() []settings.Row {
	p, a := defaultProcess(), settings.DefaultApp()
	return append(settings.Rows(envPrefix, &p), settings.Rows(envPrefix+"APP_<NAME>_", &a)...)
}

// backend is what keeps the sessions: memory or Redis.
type backend interface {
	session.Store
	session.Ledger
	session.Directory
	session.Feed
}

// gateway is the program's parts, wired.
type gateway struct {
	process
	log         *slog.Logger
	backend     backend
	sources     map[string]*credential.Source // by app
	ready       func(context.Context) error
	close       func() error
	revocations *session.Revocations
	engine      *session.Engine
	registry    *prometheus.Registry
	server      *api.Server
	listener    *api.Listener
	worker      *credential.Worker
	demo        *settings.Demo // nil unless the demo app was made up
}

// assemble reads the settings and wires the parts. It opens no connection.
func assemble(ctx context.Context, env *settings.Env, std stdio) (*gateway, error) {
	g := &gateway{process: defaultProcess(), registry: prometheus.NewRegistry(), sources: map[string]*credential.Source{}}
	apps, err := g.read(env)
	if err != nil {
		return nil, err
	}
	if g.log, err = api.NewLogger(std.err, g.LogLevel, g.LogFormat); err != nil {
		return nil, fmt.Errorf("TOKENGATE_LOG_%w", err)
	}
	g.listener = &api.Listener{Logger: g.log, Delay: g.ShutdownDelay, Grace: g.ShutdownGrace}
	g.worker = &credential.Worker{Path: std.self, Args: []string{workerCommand}, Log: g.log}
	if err := g.openBackend(apps); err != nil {
		return nil, err
	}
	return g, g.openEngine(ctx, apps)
}

// read takes every setting from the environment. What nobody reads is told
// together with what is missing: the one may be the other, misspelt.
func (g *gateway) read(env *settings.Env) (map[string]settings.App, error) {
	faults := []error{settings.Load(env, envPrefix, &g.process), g.process.validate()}
	if len(g.Apps) == 0 && g.Redis.URL == "" {
		g.Apps = []string{g.demo.Name()}
	}
	apps, demo, err := settings.LoadApps(env, g.Apps, g.Redis.URL == "")
	g.demo = demo
	faults = append(faults, err)
	for _, unknown := range env.Unknown(envPrefix) {
		if len(apps) > 0 || !strings.HasPrefix(unknown, envPrefix+"APP_") { // without apps, nobody has asked for theirs
			faults = append(faults, errors.New(unknown))
		}
	}
	return apps, errors.Join(faults...)
}

// validate checks what no other package does. The network takes an empty
// address for any port on every interface.
func (p process) validate() error {
	if p.Listen == "" {
		return errors.New("TOKENGATE_LISTEN is empty: give HOST:PORT, or :PORT for every interface")
	}
	if p.RevocationBound < 0 || p.ShutdownDelay < 0 || p.ShutdownGrace < 0 {
		return errors.New("TOKENGATE_REVOCATION_BOUND, TOKENGATE_SHUTDOWN_DELAY and TOKENGATE_SHUTDOWN_GRACE take no negative duration")
	}
	return nil
}

func (g *gateway) openBackend(apps map[string]settings.App) error {
	if g.Redis.URL == "" {
		store := memstore.New(memstore.Options{Horizon: settings.LongestAccess(apps)})
		g.backend, g.ready, g.close = store, func(context.Context) error { return nil }, func() error { return nil }
		return nil
	}
	g.Redis.Horizon = max(g.Redis.Horizon, settings.LongestAccess(apps))
	if g.RevocationBound > 0 { // the list must be renewed well before it counts as stale
		g.Redis.Sweep = min(g.Redis.Sweep, max(g.RevocationBound/3, minSweep))
	}
	var store *redisstore.Store
	metrics, err := api.NewStoreMetrics(g.registry, func() api.Connections { return api.Connections(store.Connections()) })
	if err != nil {
		return err
	}
	g.Redis.Observe, g.Redis.Logger = metrics.Observe, g.log
	if store, err = redisstore.New(g.Redis); err != nil {
		return fmt.Errorf("%sREDIS_%w", envPrefix, err)
	}
	g.backend, g.ready, g.close = store, store.Ping, store.Close
	return nil
}

const minSweep = 100 * time.Millisecond // reading the outboxes costs Redis a little each time

// openEngine makes the engine and its HTTP face.
func (g *gateway) openEngine(ctx context.Context, apps map[string]settings.App) error {
	lane := credential.NewLane(0, 0, g.worker)
	config := session.Config{Store: g.backend, Ledger: g.backend}
	faces := map[string]api.App{}
	for _, name := range g.Apps {
		app, face, err := g.openApp(ctx, name, apps[name], lane)
		if err != nil {
			return fmt.Errorf("%s%w", settings.AppPrefix(name), err)
		}
		config.Apps, faces[name] = append(config.Apps, app), face
	}
	metrics, err := api.NewMetrics(g.registry)
	if err != nil {
		return err
	}
	g.revocations = session.NewRevocations(settings.LongestAccess(apps), g.RevocationBound)
	config.Revocations, config.Observer = g.revocations, api.NewObserver(metrics, g.log)
	if err := metrics.Watch(g.revocations); err != nil {
		return err
	}
	if g.engine, err = session.New(config); err != nil {
		return err
	}
	g.server, err = api.New(api.Options{
		Engine: g.engine, Logger: g.log, Metrics: metrics, Apps: faces, TrustedProxies: g.TrustedProxies,
		AdminToken: g.AdminToken, Draining: g.listener.Draining, Ready: g.ready,
	})
	return err
}

// openApp makes one app's signer and checker.
func (g *gateway) openApp(ctx context.Context, name string, a settings.App, lane *credential.Lane) (session.App, api.App, error) {
	signer, err := token.New(token.Options{
		App: name, Algorithm: a.Algorithm, SigningKey: a.SigningKey, VerifyingKeys: a.VerifyingKeys,
		Issuer: a.Issuer, Audience: a.Audience, Leeway: a.Leeway, Profile: a.TokenProfile,
		UserIDClaim: a.UserIDClaim, TokenTypeClaim: a.TokenTypeClaim, JTIClaim: a.JTIClaim,
	})
	if err != nil {
		return session.App{}, api.App{}, err
	}
	users, err := g.openUsers(ctx, name, a, lane)
	if err != nil {
		return session.App{}, api.App{}, err
	}
	engineApp := session.App{
		Name: name, Secrets: a.SecretKey, Policies: a.Policies(), AccessLifetime: a.AccessLifetime,
		Signer: signer, Checker: users, UsersInStore: users.UsersInStore(),
	}
	g.sources[name] = users
	return engineApp, api.App{HeaderTypes: a.HeaderTypes, HeaderName: a.HeaderName, JWKS: signer.JWKS}, nil
}

func (g *gateway) openUsers(ctx context.Context, name string, a settings.App, lane *credential.Lane) (*credential.Source, error) {
	recheck, err := credential.ParseRecheck(a.RecheckUser)
	if err != nil {
		return nil, err
	}
	options := credential.Options{
		Query: a.UsersQuery, RecheckQuery: a.RecheckQuery, Recheck: recheck,
		Lane: lane, Log: g.log, Directory: g.backend, App: name, DecoyKey: a.DecoyKey(name),
	}
	switch {
	case g.demo.Users(a):
		user := session.Account{ID: session.NumberID(1), Username: g.demo.Name(), Password: credential.Hash(g.demo.Password), Active: true}
		return credential.Static([]session.Account{user}, options)
	case a.Users == "redis:" && g.Redis.URL == "":
		return nil, errors.New("USERS is redis: but TOKENGATE_REDIS_URL is empty: give it, or users in a file")
	}
	return credential.Open(ctx, a.Users, options)
}

// check is the health command of a container: settings good, Redis in reach.
func check(ctx context.Context, env *settings.Env, std stdio) error {
	g, err := assemble(ctx, env, std)
	if err != nil {
		return err
	}
	defer g.close()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := g.ready(ctx); err != nil {
		return fmt.Errorf("the settings are good, but Redis can't be reached: %w", err)
	}
	if err := g.warn(ctx); err != nil {
		return err
	}
	for _, name := range g.Apps {
		if err := g.sources[name].Reach(ctx); err != nil {
			return fmt.Errorf("the settings are good, but %sUSERS can't be asked: %w", settings.AppPrefix(name), err)
		}
	}
	_, err = fmt.Fprintln(std.out, "ok")
	return err
}

const checkTimeout = 5 * time.Second

// warn logs what about Redis's configuration puts sessions at risk. It fails
// where Redis is too old, or away.
func (g *gateway) warn(ctx context.Context) error {
	store, ok := g.backend.(*redisstore.Store)
	if !ok {
		g.log.Warn("sessions are kept in memory: for one process, and gone when it ends; set TOKENGATE_REDIS_URL to keep them")
		return nil
	}
	warnings, err := store.Warnings(ctx)
	for _, warning := range warnings {
		g.log.Warn(warning)
	}
	return err
}

// serve answers requests until ctx is done, then lets those in flight finish.
func serve(ctx context.Context, env *settings.Env, std stdio) error {
	logs := &api.LogBuffer{W: std.err}
	defer logs.Flush()
	std.err = logs
	g, err := assemble(ctx, env, std)
	if err != nil {
		return err
	}
	defer g.close()
	defer g.worker.Close()
	address, err := g.listener.Listen(g.Listen, g.server.Public())
	if err != nil {
		return fmt.Errorf("TOKENGATE_LISTEN: %w", err)
	}
	if g.AdminListen != "" {
		if _, err := g.listener.Listen(g.AdminListen, g.server.Admin()); err != nil {
			return fmt.Errorf("TOKENGATE_ADMIN_LISTEN: %w", err)
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go g.follow(background)
	go func() {
		if err := g.warn(background); err != nil {
			g.log.Error("Redis can't be inspected", "error", err)
		}
	}()
	secret, username, password := g.demo.MadeUp()
	api.Walkthrough(std.out, address, secret, username, password)
	return g.listener.Wait(ctx)
}

// follow keeps the list of ended sessions up to date.
func (g *gateway) follow(ctx context.Context) {
	if err := g.backend.Follow(ctx, g.Apps, g.revocations); err != nil && ctx.Err() == nil {
		g.log.Error("the feed of endings has stopped", "error", err)
	}
}

// operate runs the commands of an operator: "user" and "sessions".
func operate(ctx context.Context, env *settings.Env, std stdio, command string, args []string) error {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	app := flags.String("app", "", "")
	user := flags.String("user", "", "")
	var id session.ID
	flags.Func("session", "", func(text string) error {
		if id = session.ID(text); id == "" { // a variable that is not set must not end all sessions
			return errors.New("is empty")
		}
		return nil
	})
	if len(args) == 0 || flags.Parse(args[1:]) != nil || *app == "" || command == "sessions" && flags.NArg() > 0 {
		return fmt.Errorf("usage: tokengate %s", operateUsage[command])
	}
	g, err := assemble(ctx, env, std)
	if err != nil {
		return err
	}
	defer g.close()
	if g.Redis.URL == "" { // what this process has in memory is nobody's
		return fmt.Errorf("`tokengate %s` acts on what a gateway keeps in Redis: set TOKENGATE_REDIS_URL as it has it", command)
	}
	if g.engine.App(*app) == nil {
		return fmt.Errorf("TOKENGATE_APPS names no app %q", *app)
	}
	if command == "user" {
		if !g.sources[*app].Managed() {
			return fmt.Errorf("%sUSERS is not redis: the users of %s are changed where they are kept", settings.AppPrefix(*app), *app)
		}
		manager := credential.Manager{App: *app, Directory: g.backend, In: std.in, Out: std.out, Err: std.err}
		manager.End = func(ctx context.Context, id session.UserID) (session.Durability, error) {
			receipt, err := g.engine.EndUser(ctx, session.Owner{App: *app, User: id.String()}, session.CauseAccount, operator)
			return receipt.Durability, err
		}
		return manager.Run(ctx, append(args[:1:1], flags.Args()...))
	}
	owner := session.Owner{App: *app, User: *user}
	return session.Operator{Engine: g.engine, Owner: owner, Name: operator, Out: std.out, Err: std.err}.Run(ctx, args[0], id)
}

const operator = "cli" // who ended a session, where the command line did

var operateUsage = map[string]string{"user": credential.ManagerUsage, "sessions": session.OperatorUsage}
