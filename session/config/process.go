package config

import (
	"errors"
	"log/slog"
	"time"
)

// Prefix begins the name of every setting.
const Prefix = "TOKENGATE_"

// Process holds the settings of the whole process, under TOKENGATE_.
type Process struct {
	Listen          string        `env:"LISTEN" desc:"public API"`
	AdminListen     string        `env:"ADMIN_LISTEN" desc:"health, metrics and admin API; empty disables them"`
	AdminToken      string        `env:"ADMIN_TOKEN" secret:"true" desc:"bearer token of the admin API; without it that API answers 403"`
	Redis           Redis         `env:"REDIS_"`
	Apps            []string      `env:"APPS" desc:"names of the apps, comma-separated; with in-memory sessions the default is demo"`
	TrustedProxies  Networks      `env:"TRUSTED_PROXIES" desc:"CIDRs of the proxies whose X-Forwarded-* headers are trusted"`
	RevocationBound time.Duration `env:"REVOCATION_BOUND" desc:"how long access tokens are checked against the revocation list without news from Redis; after that, Redis is asked about each token"`
	LogLevel        slog.Level    `env:"LOG_LEVEL" desc:"debug, info, warn or error"`
	LogFormat       string        `env:"LOG_FORMAT" desc:"text, or json for production"`
	ShutdownDelay   time.Duration `env:"SHUTDOWN_DELAY" desc:"time from SIGTERM, when /readyz turns 503, until no more connections are accepted"`
	ShutdownGrace   time.Duration `env:"SHUTDOWN_GRACE" desc:"time for requests in flight at SIGTERM"`
}

// Redis holds the settings of the session store, under TOKENGATE_REDIS_.
type Redis struct {
	URL          string        `env:"URL" secret:"true" desc:"redis://, rediss://, unix://, redis+sentinel://h1,h2/MASTER?db=0, redis+cluster://h1,h2 (rediss+… for TLS); empty keeps sessions in memory"`
	Prefix       string        `env:"PREFIX" desc:"first part of every key and channel"`
	WaitReplicas int           `env:"WAIT_REPLICAS" desc:"number of replicas that must have a revocation, a rotation or a change of a user before it counts as durable"`
	WaitTimeout  time.Duration `env:"WAIT_TIMEOUT" desc:"longest wait for those replicas"`
}

// DefaultProcess returns the defaults of the whole process.
func DefaultProcess() Process {
	return Process{
		Listen: "127.0.0.1:8000", AdminListen: "127.0.0.1:9000",
		Redis:           Redis{Prefix: "tg", WaitTimeout: 200 * time.Millisecond},
		RevocationBound: 10 * time.Second, LogFormat: "text",
		ShutdownDelay: time.Second, ShutdownGrace: 15 * time.Second,
	}
}

// InMemory reports whether sessions are kept in memory instead of Redis.
func (p Process) InMemory() bool { return p.Redis.URL == "" }

// validate checks what no other package checks. Package net would take an empty address
// to mean any port on every interface.
func (p Process) validate() error {
	if p.Listen == "" {
		return errors.New("TOKENGATE_LISTEN is empty: give HOST:PORT, or :PORT for every interface")
	}
	if p.RevocationBound < 0 || p.ShutdownDelay < 0 || p.ShutdownGrace < 0 {
		return errors.New("TOKENGATE_REVOCATION_BOUND, TOKENGATE_SHUTDOWN_DELAY and TOKENGATE_SHUTDOWN_GRACE take no negative duration")
	}
	return nil
}
