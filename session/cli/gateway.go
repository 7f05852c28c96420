package cli

import (
	"context"
	"log/slog"
	"time"

	"tokengate/session"
	"tokengate/session/config"
	"tokengate/session/password"
	"tokengate/session/users"
)

// Gateway holds the parts of an assembled gateway that the commands use.
type Gateway struct {
	Storage
	Log       *slog.Logger
	Engine    *session.Engine
	Directory session.Directory
	Sources   map[string]*users.Source // by app
	Accounts  *users.Manager           // of Directory; see ManageAccounts
	warnings  []string
}

// AddWarnings adds warnings about the settings whose names begin with prefix. They are
// logged at the start and by the command "check".
func (g *Gateway) AddWarnings(prefix string, warnings []string) {
	for _, w := range warnings {
		g.warnings = append(g.warnings, prefix+w)
	}
}

// ManageAccounts sets Accounts, for the apps whose users are in Directory. apps has the
// settings of every app in Sources. New passwords are hashed in queue.
func (g *Gateway) ManageAccounts(apps map[string]config.App, queue *password.Queue) (err error) {
	least := map[string]int{}
	for name, source := range g.Sources {
		if source.Managed() {
			least[name] = apps[name].PasswordMinLength.Value
		}
	}
	g.Accounts, err = users.NewManager(users.ManagerOptions{
		Directory: g.Directory, Queue: queue, MinPassword: least,
		Revoke: func(ctx context.Context, owner session.Owner, by string) (session.RevokeResult, error) {
			return g.Engine.RevokeUser(ctx, owner, session.CauseAccount, by)
		},
	})
	return err
}

// Storage is the part of the session store that the commands use.
type Storage interface {
	// Ping fails if no step can run on the storage now.
	Ping(context.Context) error
	// Warnings returns what an operator should change about the storage. It fails if
	// Redis can't be reached, is too old, is of another kind than the settings say, or
	// denies something that the gateway needs.
	Warnings(context.Context) ([]string, error)
	// EachSession calls visit for each live session of an app, with the time of the sessions'
	// clock. It is slow, and not atomic. It stops at the first error, also of visit.
	EachSession(ctx context.Context, app string, visit func(session.Owner, session.Session, time.Time) error) error
	// Close closes the connections.
	Close() error
}

// MemoryStorage implements [Storage] for sessions in the memory of this process.
type MemoryStorage struct{}

// Ping implements [Storage].
func (MemoryStorage) Ping(context.Context) error { return nil }

// Warnings implements [Storage].
func (MemoryStorage) Warnings(context.Context) ([]string, error) {
	return []string{"sessions are kept in memory: they belong to this process and are lost when it ends; set TOKENGATE_REDIS_URL to keep them"}, nil
}

// EachSession implements [Storage]. A command has a memory of its own, without sessions.
func (MemoryStorage) EachSession(context.Context, string, func(session.Owner, session.Session, time.Time) error) error {
	return nil
}

// Close implements [Storage].
func (MemoryStorage) Close() error { return nil }

// Inspect logs the storage's warnings, and an error if the storage can't be used. The
// gateway starts all the same, because that may change without a restart.
func (g *Gateway) Inspect(ctx context.Context) {
	if err := g.logWarnings(ctx); err != nil {
		g.Log.Error("Redis can't be used: requests may be answered with 503; `tokengate check` tells when it can", "error", err)
	}
}

// LogSettingWarnings logs the warnings about the settings.
func (g *Gateway) LogSettingWarnings() {
	for _, w := range g.warnings {
		g.Log.Warn(w)
	}
}

// logWarnings logs the storage's warnings. It returns the error of [Storage.Warnings],
// after the warnings that came with it.
func (g *Gateway) logWarnings(ctx context.Context) error {
	g.LogSettingWarnings()
	warnings, err := g.Warnings(ctx)
	for _, warning := range warnings {
		g.Log.Warn(warning)
	}
	return err
}
