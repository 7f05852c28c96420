package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// topology is how the servers of a URL stand to each other.
type topology string

const (
	standalone topology = "standalone"
	sentinel   topology = "sentinel"
	cluster    topology = "cluster"
)

var errURL = errors.New("URL can't be read: give redis://USER:PASSWORD@HOST:PORT/DB or another of its forms, " +
	"with %XX for special characters in the password")

// servers is what a URL says.
type servers struct {
	topology
	redis.UniversalOptions
	autoPipeline bool
}

// parseURL reads a URL. Its errors never repeat any part of it that may be, or
// by a slip of the pen contain, the password.
func parseURL(text string) (servers, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	where, tls := topologies[scheme], strings.HasPrefix(scheme, "rediss")
	if where == "" {
		return servers{}, errURL
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	// A list of hosts is more than url.Parse takes; it is left out.
	u, err := url.Parse("redis://" + user + "host" + tail)
	if err != nil || u.Fragment != "" {
		return servers{}, errURL
	}
	s := servers{topology: where, UniversalOptions: baseline()}
	s.Username = u.User.Username()
	s.Password, _ = u.User.Password()
	if scheme == "unix" {
		return s, s.unix(hosts, u)
	}
	return s, s.network(hosts, u, tls)
}

var topologies = map[string]topology{
	"redis": standalone, "rediss": standalone, "unix": standalone,
	"redis+sentinel": sentinel, "rediss+sentinel": sentinel,
	"redis+cluster": cluster, "rediss+cluster": cluster,
}

// baseline is what a step needs of the client, and time-outs that suit somebody
// who waits for an answer.
func baseline() redis.UniversalOptions {
	return redis.UniversalOptions{
		Protocol:                 2,    // nothing here needs more, and it costs less to read
		MaxRetries:               -1,   // a step runs once: its caller knows what a retry does
		ContextTimeoutEnabled:    true, // a request's deadline is the step's
		DialTimeout:              2 * time.Second,
		DialerRetries:            1,
		ReadTimeout:              3 * time.Second,
		WriteTimeout:             3 * time.Second,
		PoolTimeout:              2 * time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// unix reads the rest of a unix:// URL, whose path is the socket's.
func (s *servers) unix(host string, u *url.URL) error {
	if host != "" || u.Path == "" || u.Path == "/" {
		return errors.New("URL: give the path of a socket, unix:///run/redis.sock")
	}
	s.Addrs = []string{u.Path}
	return s.query(u.Query())
}

// network reads the rest of any other URL: hosts, then a path, then parameters.
func (s *servers) network(hosts string, u *url.URL, encrypted bool) error {
	if encrypted {
		s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	port := "6379"
	if s.topology == sentinel {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		addr, err := address(host, port)
		if err != nil {
			return err
		}
		s.Addrs = append(s.Addrs, addr)
	}
	if s.topology == standalone && len(s.Addrs) > 1 {
		return errors.New("URL names several hosts: write redis+sentinel:// or redis+cluster://")
	}
	if err := s.path(strings.Trim(u.Path, "/")); err != nil {
		return err
	}
	return s.query(u.Query())
}

// address completes a host with the usual port.
func address(host, port string) (string, error) {
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

// path reads what comes after the hosts: a database, or the name of a master.
func (s *servers) path(path string) error {
	switch s.topology {
	case sentinel:
		if path == "" || strings.Contains(path, "/") {
			return errors.New("URL: give the master's name after the hosts, redis+sentinel://HOST:PORT/MASTER")
		}
		s.MasterName = path
	case cluster:
		if path != "" {
			return errors.New("URL: a cluster has one database, so nothing follows the hosts")
		}
	default:
		db, err := strconv.Atoi("0" + path)
		if err != nil {
			return errors.New("URL: what follows the host is the number of a database")
		}
		s.DB = db
	}
	return nil
}

// query reads the client's options.
func (s *servers) query(values url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		read, ok := parameters[name]
		if !ok {
			return errors.New("URL has an unknown parameter; it takes " +
				strings.Join(slices.Sorted(maps.Keys(parameters)), ", "))
		}
		if err := read(s, values.Get(name)); err != nil {
			return fmt.Errorf("URL parameter %s: %w", name, err)
		}
	}
	if s.topology == cluster && s.DB != 0 {
		return errors.New("URL parameter db: a cluster has database 0 only")
	}
	return nil
}

// parameters are the options that a URL may have after "?". Durations are Go's;
// dial_timeout (2s), read_timeout and write_timeout (3s) and pool_timeout (2s)
// bound a step where its context doesn't. pool_size and the other numbers of
// connections are per server, 10 per CPU by default. user and password of the
// URL are for the data's servers; Sentinel's own are parameters. ca_cert is the
// path of the only certificates to trust. auto_pipeline=true sends steps that
// run at the same time together, on one connection: it halves Redis's work when
// there are many, and a single one takes a little longer.
var parameters = map[string]func(*servers, string) error{
	"db":                 whole(func(s *servers) *int { return &s.DB }),
	"pool_size":          whole(func(s *servers) *int { return &s.PoolSize }),
	"min_idle_conns":     whole(func(s *servers) *int { return &s.MinIdleConns }),
	"max_idle_conns":     whole(func(s *servers) *int { return &s.MaxIdleConns }),
	"max_active_conns":   whole(func(s *servers) *int { return &s.MaxActiveConns }),
	"dial_timeout":       duration(func(s *servers) *time.Duration { return &s.DialTimeout }),
	"read_timeout":       duration(func(s *servers) *time.Duration { return &s.ReadTimeout }),
	"write_timeout":      duration(func(s *servers) *time.Duration { return &s.WriteTimeout }),
	"pool_timeout":       duration(func(s *servers) *time.Duration { return &s.PoolTimeout }),
	"conn_max_idle_time": duration(func(s *servers) *time.Duration { return &s.ConnMaxIdleTime }),
	"conn_max_lifetime":  duration(func(s *servers) *time.Duration { return &s.ConnMaxLifetime }),
	"client_name":        word(func(s *servers) *string { return &s.ClientName }),
	"sentinel_username":  word(func(s *servers) *string { return &s.SentinelUsername }),
	"sentinel_password":  word(func(s *servers) *string { return &s.SentinelPassword }),
	"ca_cert":            (*servers).trust,
	"skip_verify":        (*servers).skipVerify,
	"auto_pipeline":      (*servers).pipeline,
}

// whole, duration and word make the readers of parameters. Their errors say what
// to give and not what was given: it may be a password that went astray.
func whole(field func(*servers) *int) func(*servers, string) error {
	return func(s *servers, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return errors.New("give a whole number")
		}
		*field(s) = n
		return nil
	}
}

func duration(field func(*servers) *time.Duration) func(*servers, string) error {
	return func(s *servers, text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return errors.New("give a duration such as 500ms or 5s")
		}
		*field(s) = d
		return nil
	}
}

func word(field func(*servers) *string) func(*servers, string) error {
	return func(s *servers, text string) error {
		*field(s) = text
		return nil
	}
}

var errNotTLS = errors.New("is for rediss:// only")

// trust takes the certificates in a PEM file as the only roots.
func (s *servers) trust(path string) error {
	if s.TLSConfig == nil {
		return errNotTLS
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return errors.New("the file can't be read")
	}
	s.TLSConfig.RootCAs = x509.NewCertPool()
	if !s.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
		return errors.New("the file holds no PEM certificate")
	}
	return nil
}

func (s *servers) skipVerify(text string) (err error) {
	if s.TLSConfig == nil {
		return errNotTLS
	}
	if s.TLSConfig.InsecureSkipVerify, err = strconv.ParseBool(text); err != nil {
		return errors.New("give true or false")
	}
	return nil
}

func (s *servers) pipeline(text string) (err error) {
	if s.autoPipeline, err = strconv.ParseBool(text); err != nil {
		return errors.New("give true or false")
	}
	return nil
}

// reloadEvery is how long a Cluster's client may dial a dead master: it asks
// who has the slots now when it repeats a command, which steps never do, and
// otherwise only as often as this.
const reloadEvery = time.Second

// connect makes the client, and the pipeline in front of it if there is to be
// one. It dials when it is first used.
func (s servers) connect() (redis.UniversalClient, *redis.AutoPipeliner, error) {
	s.Dialer = s.dial
	var client interface {
		redis.UniversalClient
		AsyncAutoPipelineWithOptions(*redis.AutoPipelineOptions) (*redis.AutoPipeliner, error)
	}
	switch s.topology {
	case cluster:
		o := s.Cluster()
		o.DisableRoutingPolicies = true // a script goes where its first key is; nothing else needs asking
		o.ClusterStateReloadInterval = reloadEvery
		client = redis.NewClusterClient(o)
	case sentinel:
		client = redis.NewFailoverClient(s.Failover())
	default:
		client = redis.NewClient(s.Simple())
	}
	if !s.autoPipeline {
		return client, nil, nil
	}
	pipeline, err := client.AsyncAutoPipelineWithOptions(redis.DefaultBlockingAutoPipelineOptions())
	return client, pipeline, err
}
