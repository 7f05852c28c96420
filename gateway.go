package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tokengate/api"
	"tokengate/api/listen"
	"tokengate/redisstore"
	"tokengate/session"
	"tokengate/session/cli"
	"tokengate/session/config"
	"tokengate/session/memstore"
	"tokengate/session/password"
)

// gateway is the assembled program: the parts that stay as long as the process, and the
// snapshot that serves now.
type gateway struct {
	cli.Gateway // without the parts of a snapshot
	registry    *prometheus.Registry
	metrics     *api.Metrics
	settings    *api.SettingsMetrics
	store       sessionStore
	limiter     session.Limiter
	setRedisURL func(string) error
	revocations *session.RevocationList
	listeners   *listen.Servers
	certificate *listen.Certificate // of the public listener; nil without TLS
	ready       func(context.Context) error
	queue       *password.Queue
	worker      *password.Worker
	pauses      session.PauseDetector
	process     *api.Process

	current    atomic.Pointer[snapshot]
	stopFollow func() // stops reading revocations, and waits until it has stopped
}

// sessionStore is what a gateway needs of the store of sessions.
type sessionStore interface {
	session.Store
	session.Feed
	// ExtendRetention keeps revocations in the outbox for at least the given time.
	ExtendRetention(least time.Duration)
}

// assemble connects the parts. It opens no connection.
func assemble(ctx context.Context, c *config.Config, std cli.Stdio) (*gateway, error) {
	g := &gateway{registry: prometheus.NewRegistry(), process: api.NewProcess(), stopFollow: func() {}}
	var err error
	if g.Log, err = api.NewLogger(std.Err, c.LogLevel.Value, c.LogFormat); err != nil {
		return nil, fmt.Errorf("%sLOG_%w", config.Prefix, err)
	}
	g.listeners = &listen.Servers{
		Logger: g.Log, IdleTimeout: c.IdleTimeout.Value, Delay: c.ShutdownDelay.Value, Grace: c.ShutdownGrace.Value,
		TrustedProxies: c.TrustedProxies.Value,
	}
	if c.TLSCertFile != "" {
		if g.certificate, err = listen.LoadCertificate(c.TLSCertFile, c.TLSKeyFile); err != nil {
			return nil, fmt.Errorf("%sTLS_%w", config.Prefix, err)
		}
	}
	g.worker = &password.Worker{Path: std.Executable, Args: []string{cli.WorkerCommand}, Log: g.Log}
	g.queue = password.NewQueue(0, 0, g.worker)
	if err := g.openStore(c); err != nil {
		return nil, err
	}
	g.ready = api.LogReadiness(g.Log, g.Ping)
	g.revocations = session.NewRevocationList(c.LongestAccess(), c.RevocationBound.Value, nil)
	if err := g.registerMetrics(); err != nil {
		return nil, err
	}
	first, err := g.build(ctx, c, &snapshot{config: &config.Config{}})
	if err != nil {
		return nil, inSettings(c, err)
	}
	g.current.Store(first)
	return g, nil
}

// inSettings returns the error of a build with the full name of the setting.
func inSettings(c *config.Config, err error) error {
	if ofApp, ok := errors.AsType[*session.AppError](err); ok {
		return fmt.Errorf("%s%w", c.SettingPrefix(ofApp.App), ofApp.Err)
	}
	return err
}

// openStore opens the session store: Redis, or the memory of this process.
func (g *gateway) openStore(c *config.Config) error {
	if c.InMemory() {
		store := memstore.New(memstore.Options{Retention: c.LongestAccess()})
		g.store, g.limiter, g.Directory, g.Storage = store, store.Limiter(), store.Directory(), cli.MemoryStorage{}
		return nil
	}
	var store *redisstore.Store
	metrics, err := api.NewStoreMetrics(g.registry, func() api.Connections { return api.Connections(store.Connections()) })
	if err != nil {
		return err
	}
	o, settings := redisstore.Defaults(), c.Redis
	o.URL, o.Prefix = string(settings.URL), settings.Prefix
	o.WaitReplicas, o.WaitTimeout = settings.WaitReplicas.Value, settings.WaitTimeout.Value
	o.Retention = max(o.Retention, c.LongestAccess()+session.RevocationMargin)
	o.LimitPollInterval(c.RevocationBound.Value)
	o.Observe, o.ObserveClock, o.Logger = metrics.ObserveScript, metrics.ObserveClock, g.Log
	if store, err = redisstore.New(o); err != nil {
		return fmt.Errorf("%sREDIS_%w", config.Prefix, err)
	}
	g.store, g.limiter, g.Directory, g.Storage, g.setRedisURL = store, store.Limiter(), store.Directory(), store, store.SetURL
	return nil
}

// registerMetrics registers the metrics of the whole process.
func (g *gateway) registerMetrics() (err error) {
	if g.metrics, err = api.NewMetrics(g.registry); err != nil {
		return err
	}
	if g.settings, err = api.NewSettingsMetrics(g.registry); err != nil {
		return err
	}
	if g.listeners.Metrics, err = listen.NewMetrics(g.registry); err != nil {
		return err
	}
	return g.metrics.WatchRevocations(g.revocations)
}

// handler returns a handler that asks which for the handler of the current snapshot at each
// request.
func (g *gateway) handler(which func(*snapshot) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { which(g.current.Load()).ServeHTTP(w, r) })
}

// follow keeps the revocation list up to date for these apps, and no longer for those of the
// last call. prepare is called while no feed writes the list.
func (g *gateway) follow(ctx context.Context, apps []string, prepare func()) {
	g.stopFollow()
	prepare()
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := g.store.Follow(ctx, apps, g.revocations); err != nil && ctx.Err() == nil {
			g.Log.Error("the revocation feed has stopped", "error", err)
		}
	}()
	g.stopFollow = func() {
		cancel()
		<-stopped
	}
}

// serve answers requests until ctx is done. Then it lets those in flight finish. It reads the
// settings again at each hangup.
func serve(ctx context.Context, c *config.Config, std cli.Stdio, hangups <-chan os.Signal) error {
	logs := &api.LogBuffer{W: std.Err}
	defer logs.Flush()
	std.Err = logs
	g, err := assemble(ctx, c, std)
	if err != nil {
		return err
	}
	defer g.Close()
	defer g.worker.Close()
	address, err := g.listeners.Listen(c.Listen, g.handler(func(now *snapshot) http.Handler { return now.public }), g.certificate)
	if err != nil {
		return fmt.Errorf("TOKENGATE_LISTEN: %w", err)
	}
	if c.AdminListen != "" {
		if _, err := g.listeners.ListenAdmin(c.AdminListen, g.handler(func(now *snapshot) http.Handler { return now.admin })); err != nil {
			return fmt.Errorf("TOKENGATE_ADMIN_LISTEN: %w", err)
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go g.pauses.Run(background)
	g.follow(background, c.Names, func() {})
	go g.current.Load().Inspect(background)
	cli.PrintWalkthrough(std.Out, address, g.certificate != nil, c.Demo)
	go g.reloadOnChange(background, hangups)
	return g.listeners.Wait(ctx)
}
