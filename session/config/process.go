package config

import (
	"errors"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"time"
)

// Prefix begins the name of every setting.
const Prefix = "TOKENGATE_"

// Process holds the settings of the whole process, under TOKENGATE_.
type Process struct {
	// Listen must not be empty: package net would take that for any port on every interface.
	Listen          string                `split_words:"true" empty:"is empty: give HOST:PORT, :PORT for every interface, or unix:/PATH" desc:"public API: HOST:PORT, :PORT for every interface, or unix:/PATH"`
	AdminListen     string                `split_words:"true" desc:"health, metrics and admin API, in the same form; empty disables them"`
	TLSCertFile     string                `split_words:"true" desc:"PEM file with the certificate of LISTEN, then intermediate ones; with it LISTEN serves only HTTPS"`
	TLSKeyFile      string                `split_words:"true" desc:"PEM file with the private key of that certificate"`
	IdleTimeout     Parsed[time.Duration] `split_words:"true" desc:"how long a client's connection is kept without a request; more than the balancer keeps it"`
	AdminToken      Secret                `split_words:"true" desc:"bearer token of the admin API; without it that API answers 403"`
	Redis           Redis                 `split_words:"true"`
	Apps            List                  `split_words:"true" desc:"names of the apps, comma-separated; with in-memory sessions the default is demo"`
	AppsDir         string                `split_words:"true" desc:"folder with a file NAME.env for each further app, which has the app's settings without TOKENGATE_APP_<NAME>_; files may be added, changed and removed while the gateway runs"`
	TrustedProxies  Parsed[Networks]      `split_words:"true" desc:"addresses or CIDRs of the proxies whose X-Forwarded-* headers are trusted, comma-separated"`
	RevocationBound Parsed[time.Duration] `split_words:"true" desc:"how long access tokens are checked against the revocation list without news from Redis; after that, Redis is asked about each token, and the answer is 503 if it can't tell"`
	LogLevel        Parsed[slog.Level]    `split_words:"true" desc:"debug, info, warn or error"`
	LogFormat       string                `split_words:"true" desc:"text, or json for production"`
	ShutdownDelay   Parsed[time.Duration] `split_words:"true" desc:"time from SIGTERM, when /readyz turns 503, until no more connections are accepted"`
	ShutdownGrace   Parsed[time.Duration] `split_words:"true" desc:"time for requests in flight at SIGTERM"`
}

// Redis holds the settings of the session store, under TOKENGATE_REDIS_.
type Redis struct {
	URL          Secret                `split_words:"true" desc:"redis://, rediss://, unix://, redis+sentinel://h1,h2/MASTER?db=0, redis+cluster://h1,h2 (rediss+… for TLS); empty keeps sessions in memory"`
	Prefix       string                `split_words:"true" desc:"first part of every key and channel"`
	WaitReplicas Parsed[int]           `split_words:"true" desc:"number of replicas that must have a revocation, a rotation or a change of a user before it counts as durable; without them, access tokens can't be verified either"`
	WaitTimeout  Parsed[time.Duration] `split_words:"true" desc:"longest wait for those replicas"`
}

// DefaultProcess returns the defaults of the whole process.
func DefaultProcess() Process {
	return Process{
		Listen: "127.0.0.1:8000", AdminListen: "127.0.0.1:9000",
		Redis:           Redis{Prefix: "tg", WaitTimeout: parsed(200 * time.Millisecond)},
		IdleTimeout:     parsed(120 * time.Second),
		RevocationBound: parsed(10 * time.Second), LogFormat: "text",
		ShutdownDelay: parsed(time.Second), ShutdownGrace: parsed(15 * time.Second),
	}
}

// Equal reports whether two processes have the same settings.
func (p Process) Equal(other Process) bool { return reflect.DeepEqual(p, other) }

// InMemory reports whether sessions are kept in memory instead of Redis.
func (p Process) InMemory() bool { return p.Redis.URL == "" }

// validate checks what no other package checks.
func (p Process) validate() error {
	var faults []error
	if !isListenAddress(p.Listen) && p.Listen != "" {
		faults = append(faults, errors.New("TOKENGATE_LISTEN: give HOST:PORT, :PORT for every interface, or unix:/PATH (at most 107 bytes)"))
	}
	if !isListenAddress(p.AdminListen) && p.AdminListen != "" {
		faults = append(faults, errors.New("TOKENGATE_ADMIN_LISTEN: give HOST:PORT, :PORT for every interface, unix:/PATH (at most 107 bytes), or nothing"))
	}
	if p.AdminListen == p.Listen && p.Listen != "" && !strings.HasSuffix(p.Listen, ":0") {
		faults = append(faults, errors.New("TOKENGATE_ADMIN_LISTEN is also TOKENGATE_LISTEN: give it another address"))
	}
	if (p.TLSCertFile == "") != (p.TLSKeyFile == "") {
		faults = append(faults, errors.New("TOKENGATE_TLS_CERT_FILE and TOKENGATE_TLS_KEY_FILE belong together: give both or neither"))
	}
	if p.IdleTimeout.Value <= 0 {
		faults = append(faults, errors.New("TOKENGATE_IDLE_TIMEOUT: give a positive duration, such as 120s"))
	}
	if p.RevocationBound.Value < 0 || p.ShutdownDelay.Value < 0 || p.ShutdownGrace.Value < 0 {
		faults = append(faults, errors.New("TOKENGATE_REVOCATION_BOUND, TOKENGATE_SHUTDOWN_DELAY and TOKENGATE_SHUTDOWN_GRACE take no negative duration"))
	}
	return errors.Join(faults...)
}

// maxSocketPath is the longest path of a Unix socket, in bytes. Linux has 108 for it, with
// a zero byte at the end.
const maxSocketPath = 107

// isListenAddress reports whether a program may listen at the address, HOST:PORT or
// unix:/PATH. Whether this machine has the host's address or the path's folder is known only
// when it listens.
func isListenAddress(address string) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return strings.HasPrefix(path, "/") && !strings.HasSuffix(path, "/") && len(path) <= maxSocketPath
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsAny(host, "/@ ") {
		return false
	}
	_, err = net.LookupPort("tcp", port) // also checks the range
	return err == nil
}
