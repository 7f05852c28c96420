package redisstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// servers is a parsed URL: the servers and how to connect to them.
type servers struct {
	topology
	redis.UniversalOptions
	certificates certificateFiles
	autoPipeline bool
}

// topology is the kind of deployment that a URL describes.
type topology string

const (
	standalone topology = "standalone"
	sentinel   topology = "sentinel"
	cluster    topology = "cluster"
)

var topologies = map[string]topology{
	"redis": standalone, "rediss": standalone, "unix": standalone,
	"redis+sentinel": sentinel, "rediss+sentinel": sentinel,
	"redis+cluster": cluster, "rediss+cluster": cluster,
}

var errURL = errors.New("URL is invalid: give redis://USER:PASSWORD@HOST:PORT/DB or another of its forms, " +
	"with %XX for special characters in the password")

// parseURL parses a URL, which has one of the forms that [Options] lists. It reads no
// file. Errors never repeat any part of the URL that may be the password, or may contain
// it by mistake.
func parseURL(text string) (servers, error) {
	parts := splitURL(text)
	kind, encrypted := topologies[parts.scheme], strings.HasPrefix(parts.scheme, "rediss")
	if kind == "" {
		return servers{}, errURL
	}
	// url.Parse rejects a list of hosts, so it gets another host instead.
	u, err := url.Parse("redis://" + parts.user + "host" + parts.tail)
	if err != nil || u.Fragment != "" {
		return servers{}, errURL
	}
	s := servers{topology: kind, UniversalOptions: clientDefaults(), autoPipeline: true}
	s.Username = u.User.Username()
	s.Password, _ = u.User.Password()
	if parts.scheme == "unix" {
		return s, s.parseUnix(parts.hosts, u)
	}
	return s, s.parseNetwork(parts.hosts, u, encrypted)
}

// urlParts are the parts of a URL, as they are written in it.
type urlParts struct {
	scheme string
	user   string // and password, up to the "@"
	hosts  string
	tail   string // path and parameters
}

func splitURL(text string) urlParts {
	scheme, rest, _ := strings.Cut(text, "://")
	p := urlParts{scheme: scheme, hosts: rest}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		p.hosts, p.tail = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(p.hosts, '@'); i >= 0 {
		p.user, p.hosts = p.hosts[:i+1], p.hosts[i+1:]
	}
	return p
}

// sameServers reports whether two URLs differ in user and password at most.
func sameServers(a, b string) bool {
	x, y := splitURL(a), splitURL(b)
	x.user, y.user = "", ""
	return x == y
}

// clientDefaults returns the client options that steps rely on, and timeouts that suit
// users waiting for an answer.
func clientDefaults() redis.UniversalOptions {
	return redis.UniversalOptions{
		Protocol:                 2,    // suffices, and costs less to parse than 3
		MaxRetries:               -1,   // a step runs once; its caller decides on a retry
		ContextTimeoutEnabled:    true, // a request's deadline limits its steps
		DisableIdentity:          true, // no CLIENT SETINFO, which the Redis user need not be allowed
		DialTimeout:              2 * time.Second,
		DialerRetries:            1,
		ReadTimeout:              3 * time.Second,
		WriteTimeout:             3 * time.Second,
		PoolTimeout:              2 * time.Second,
		PipelinePoolSize:         -1, // one pool for all, so that its limits and figures are those of all connections
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// parseUnix parses the rest of a unix:// URL. Its path is that of the socket.
func (s *servers) parseUnix(host string, u *url.URL) error {
	if host != "" || u.Path == "" || u.Path == "/" {
		return errors.New("URL: give the path of a socket, such as unix:///run/redis.sock")
	}
	s.Addrs = []string{u.Path}
	return s.parseQuery(u.Query())
}

// parseNetwork parses the rest of any other URL: hosts, path and parameters.
func (s *servers) parseNetwork(hosts string, u *url.URL, encrypted bool) error {
	if encrypted {
		s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	port := "6379"
	if s.topology == sentinel {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		addr, err := hostPort(host, port)
		if err != nil {
			return err
		}
		s.Addrs = append(s.Addrs, addr)
	}
	if s.topology == standalone && len(s.Addrs) > 1 {
		return errors.New("URL names several hosts: give redis+sentinel:// or redis+cluster://")
	}
	if err := s.parsePath(strings.Trim(u.Path, "/")); err != nil {
		return err
	}
	return s.parseQuery(u.Query())
}

// hostPort returns a host with its port, or with the given one if it has none. The
// default host is localhost.
func hostPort(host, port string) (string, error) {
	u, err := url.Parse("redis://" + host)
	if err != nil || u.Host != host || strings.ContainsAny(host, "%@") ||
		strings.Contains(u.Hostname(), ":") && host[0] != '[' {
		return "", errURL
	}
	if u.Port() != "" {
		port = u.Port()
	}
	name := u.Hostname()
	if name == "" {
		name = "localhost"
	}
	return net.JoinHostPort(name, port), nil
}

// parsePath parses what follows the hosts: the number of a database, or the name of a
// master that Sentinel monitors.
func (s *servers) parsePath(path string) error {
	switch s.topology {
	case sentinel:
		if path == "" || strings.Contains(path, "/") {
			return errors.New("URL: give the master's name after the hosts, redis+sentinel://HOST:PORT/MASTER")
		}
		s.MasterName = path
	case cluster:
		if path != "" {
			return errors.New("URL: a Cluster has only one database; give nothing after the hosts")
		}
	default:
		db, err := strconv.Atoi("0" + path)
		if err != nil {
			return errors.New("URL: give the number of a database after the host, or nothing")
		}
		s.DB = db
	}
	return nil
}

// parseQuery parses the parameters.
func (s *servers) parseQuery(values url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		set, ok := parameters[name]
		if !ok {
			return errors.New("URL has an unknown parameter; give one of " +
				strings.Join(slices.Sorted(maps.Keys(parameters)), ", "))
		}
		if err := set(s, values.Get(name)); err != nil {
			return fmt.Errorf("URL parameter %s: %w", name, err)
		}
	}
	if s.topology == cluster && s.DB != 0 {
		return errors.New("URL parameter db: a Cluster has database 0 only; leave the parameter out")
	}
	if (s.certificates.cert == "") != (s.certificates.key == "") {
		return errors.New("URL parameters client_cert and client_key: give both or neither")
	}
	return nil
}

// parameters are the parameters that a URL may have after "?"; [Options] describes them.
var parameters = map[string]func(*servers, string) error{
	"db":                 intParameter(func(s *servers) *int { return &s.DB }),
	"pool_size":          intParameter(func(s *servers) *int { return &s.PoolSize }),
	"min_idle_conns":     intParameter(func(s *servers) *int { return &s.MinIdleConns }),
	"max_idle_conns":     intParameter(func(s *servers) *int { return &s.MaxIdleConns }),
	"max_active_conns":   intParameter(func(s *servers) *int { return &s.MaxActiveConns }),
	"dial_timeout":       durationParameter(func(s *servers) *time.Duration { return &s.DialTimeout }),
	"read_timeout":       durationParameter(func(s *servers) *time.Duration { return &s.ReadTimeout }),
	"write_timeout":      durationParameter(func(s *servers) *time.Duration { return &s.WriteTimeout }),
	"pool_timeout":       durationParameter(func(s *servers) *time.Duration { return &s.PoolTimeout }),
	"conn_max_idle_time": durationParameter(func(s *servers) *time.Duration { return &s.ConnMaxIdleTime }),
	"conn_max_lifetime":  durationParameter(func(s *servers) *time.Duration { return &s.ConnMaxLifetime }),
	"client_name":        stringParameter(func(s *servers) *string { return &s.ClientName }),
	"sentinel_username":  stringParameter(func(s *servers) *string { return &s.SentinelUsername }),
	"sentinel_password":  stringParameter(func(s *servers) *string { return &s.SentinelPassword }),
	"ca_cert":            fileParameter(func(s *servers) *string { return &s.certificates.ca }),
	"client_cert":        fileParameter(func(s *servers) *string { return &s.certificates.cert }),
	"client_key":         fileParameter(func(s *servers) *string { return &s.certificates.key }),
	"skip_verify":        (*servers).setSkipVerify,
	"auto_pipeline":      (*servers).setAutoPipeline,
}

// intParameter returns a function that sets a field to the number in a parameter. Its
// errors, like those of the functions below, name valid values and do not repeat the
// given one, which may be a misplaced password.
func intParameter(field func(*servers) *int) func(*servers, string) error {
	return func(s *servers, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return errors.New("give a whole number")
		}
		*field(s) = n
		return nil
	}
}

func durationParameter(field func(*servers) *time.Duration) func(*servers, string) error {
	return func(s *servers, text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return errors.New("give a duration such as 500ms or 5s")
		}
		*field(s) = d
		return nil
	}
}

func stringParameter(field func(*servers) *string) func(*servers, string) error {
	return func(s *servers, text string) error {
		*field(s) = text
		return nil
	}
}

var errNotTLS = errors.New("it is for rediss:// only; use that, or leave the parameter out")

func fileParameter(field func(*servers) *string) func(*servers, string) error {
	return func(s *servers, path string) error {
		if s.TLSConfig == nil {
			return errNotTLS
		}
		if path == "" {
			return errors.New("give the path of a PEM file")
		}
		*field(s) = path
		return nil
	}
}

func (s *servers) setSkipVerify(text string) (err error) {
	if s.TLSConfig == nil {
		return errNotTLS
	}
	if s.TLSConfig.InsecureSkipVerify, err = strconv.ParseBool(text); err != nil {
		return errors.New("give true or false")
	}
	return nil
}

func (s *servers) setAutoPipeline(text string) (err error) {
	if s.autoPipeline, err = strconv.ParseBool(text); err != nil {
		return errors.New("give true or false")
	}
	return nil
}
