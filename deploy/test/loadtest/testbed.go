package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"

	"tokengate/deploy/test/freeport"
	"tokengate/session/password"
)

// The only app of a testbed, its users and keys. They protect nothing.
const (
	testApp        = "web"
	testSecret     = "web-secret-0123456789abcdef"
	testKey        = "web-signing-key-0123456789abcdef0123456789abcdef"
	testPassword   = "web-password"
	testAdminToken = "web-admin-token-0123456789"
	testInfo       = "Firefox 140 on Linux, kitchen laptop, #1" // 40 bytes

	cheapUsers     = 1024 // users whose password hash costs almost nothing to check
	expensiveUsers = 64   // users whose password hash has the costs of a new hash

	cheapUsername     = "user%d"
	expensiveUsername = "expensive%d"
)

// testbed starts the servers of a measurement, all on loopback addresses.
type testbed struct {
	dir          string
	gatewayPath  string // of the binary
	baselinePath string // of the binary
	userFile     string
	processes    []*process
	releasePorts []func()
	logf         func(format string, args ...any)
}

// newTestbed builds the servers with the flags of a release. The environment
// variable TOKENGATE_BIN names a gateway to use instead.
func newTestbed(ctx context.Context, logf func(string, ...any)) (*testbed, error) {
	dir, err := os.MkdirTemp("", "tokengate-load")
	if err != nil {
		return nil, err
	}
	t := &testbed{dir: dir, logf: logf, gatewayPath: os.Getenv("TOKENGATE_BIN"), userFile: filepath.Join(dir, "users.json")}
	if err := t.build(ctx); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *testbed) build(ctx context.Context) (err error) {
	t.logf("building")
	if t.gatewayPath == "" {
		if t.gatewayPath, err = build(ctx, t.dir, "tokengate"); err != nil {
			return err
		}
	}
	if t.baselinePath, err = build(ctx, t.dir, "tokengate/deploy/test/loadtest/baseline"); err != nil {
		return err
	}
	return writeUsers(t.userFile)
}

// close stops all servers and removes their files.
func (t *testbed) close() {
	t.reset()
	_ = os.RemoveAll(t.dir)
}

// reset stops all servers and releases their ports.
func (t *testbed) reset() {
	for _, p := range t.processes {
		p.stop()
	}
	for _, release := range t.releasePorts {
		release()
	}
	t.processes, t.releasePorts = nil, nil
}

// address returns a free address for a server, claimed until the next reset.
func (t *testbed) address() (string, error) {
	port, release, err := freeport.Claim()
	if err != nil {
		return "", err
	}
	t.releasePorts = append(t.releasePorts, release)
	return freeport.Addr(port), nil
}

func writeUsers(path string) error {
	sum, err := pbkdf2.Key(sha256.New, testPassword, []byte("web"), 1, sha256.Size)
	if err != nil {
		return err
	}
	cheap := "pbkdf2_sha256$1$web$" + base64.StdEncoding.EncodeToString(sum)
	expensive := password.NewHash(testPassword)
	type user struct {
		ID       int    `json:"id"`
		Username string `json:"username"`
		Password string `json:"password"`
		Active   bool   `json:"is_active"`
	}
	var users []user
	for i := range cheapUsers {
		users = append(users, user{i + 1, fmt.Sprintf(cheapUsername, i), cheap, true})
	}
	for i := range expensiveUsers {
		users = append(users, user{cheapUsers + i + 1, fmt.Sprintf(expensiveUsername, i), expensive, true})
	}
	text, err := json.Marshal(users)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// server is a redis-server and a client for its statistics.
type server struct {
	*process
	url string
	rdb *redis.Client
}

// Configurations of Redis. The files are relative to the module's directory.
const (
	nothingSaved = "" // Redis's defaults without persistence
	oneServer    = "deploy/redis.conf"
	withReplicas = "deploy/redis-ha.conf"
)

// startRedis starts a redis-server with a configuration and further options.
func (t *testbed) startRedis(ctx context.Context, config string, options ...string) (*server, error) {
	address, err := t.address()
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	dir, err := os.MkdirTemp(t.dir, "redis")
	if err != nil {
		return nil, err
	}
	argv := []string{"redis-server"}
	if config == nothingSaved {
		argv = append(argv, "--save", "", "--appendonly", "no")
	} else {
		argv = append(argv, config)
	}
	argv = append(append(argv, "--port", port, "--bind", host, "--dir", dir), options...)
	p, err := t.start("redis", address, nil, argv...)
	if err != nil {
		return nil, err
	}
	s := &server{p, "redis://" + address, redis.NewClient(&redis.Options{Addr: address, Protocol: 2})}
	return s, p.waitReady(ctx, func() error { return s.rdb.Ping(ctx).Err() })
}

// start starts a process that reset stops.
func (t *testbed) start(name, address string, env []string, argv ...string) (*process, error) {
	p, err := startProcess(t.dir, name, env, argv...)
	if err != nil {
		return nil, err
	}
	p.address = address
	t.processes = append(t.processes, p)
	return p, nil
}

// startServers starts a Redis server and a gateway on it, and waits until both are
// ready. query is added to the gateway's Redis URL: empty, or with its "?". The
// settings are NAME=value, without TOKENGATE_; all others have their defaults.
func (t *testbed) startServers(ctx context.Context, config, query string, settings ...string) (*server, *process, error) {
	r, err := t.startRedis(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	g, ready, err := t.launchGateway(r.url+query, settings...)
	if err != nil {
		return nil, nil, err
	}
	return r, g, g.waitReady(ctx, ready)
}

// launchGateway starts a gateway on the Redis server at url, with settings as for
// startServers. It does not wait until the gateway is ready: then the returned
// function returns nil.
func (t *testbed) launchGateway(url string, settings ...string) (p *process, ready func() error, err error) {
	return t.launch([]string{t.gatewayPath, "serve"}, url, settings...)
}

// launch starts a gateway with a command, like launchGateway.
func (t *testbed) launch(argv []string, url string, settings ...string) (p *process, ready func() error, err error) {
	address, err := t.address()
	if err != nil {
		return nil, nil, err
	}
	admin, err := t.address()
	if err != nil {
		return nil, nil, err
	}
	env := goEnvironment()
	for _, setting := range append([]string{
		"LISTEN=" + address, "ADMIN_LISTEN=" + admin, "ADMIN_TOKEN=" + testAdminToken, "REDIS_URL=" + url, "APPS=" + testApp, "SHUTDOWN_DELAY=0s",
		"APP_WEB_SECRET_KEY=" + testSecret, "APP_WEB_SIGNING_KEY=" + testKey, "APP_WEB_USERS=file:" + t.userFile,
	}, settings...) {
		env = append(env, "TOKENGATE_"+setting)
	}
	if p, err = t.start("gateway", address, env, argv...); err != nil {
		return nil, nil, err
	}
	p.admin = admin
	return p, respondsOK("http://" + admin + "/readyz"), nil
}

// goEnvironment returns the variables that tune Go's runtime. Servers are
// started with no other variable of this process's environment.
func goEnvironment() (env []string) {
	for _, name := range []string{"GOGC", "GOMAXPROCS", "GOMEMLIMIT"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// startBaseline starts the baseline on the Redis server at url.
func (t *testbed) startBaseline(ctx context.Context, url string, pipelined bool) (*process, error) {
	address, err := t.address()
	if err != nil {
		return nil, err
	}
	p, err := t.start("baseline", address, goEnvironment(), t.baselinePath,
		"-listen", address, "-redis", url, "-key", testKey, fmt.Sprintf("-auto-pipeline=%t", pipelined))
	if err != nil {
		return nil, err
	}
	return p, p.waitReady(ctx, acceptsConnections(address))
}

// virtualUsers returns n virtual users that send their requests to p. username
// contains %d for the number of the user.
func (t *testbed) virtualUsers(p *process, n int, username string) []*virtualUser {
	to := &target{
		address: p.address, app: testApp, secret: testSecret, username: username, password: testPassword,
		sessionType: "LONG", info: testInfo, rotate: true,
	}
	all := make([]*virtualUser, n)
	for i := range all {
		all[i] = to.virtualUser(i)
	}
	return all
}

// info returns one number of Redis's INFO, or 0 if the section has no such field.
func (s *server) info(ctx context.Context, section, name string) (n float64, err error) {
	text, err := s.rdb.Info(ctx, section).Result()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			_, err = fmt.Sscan(rest, &n)
			return n, err
		}
	}
	return 0, err
}

// cpu returns the server's CPU time in seconds, by Redis's own count, which has a
// resolution of a microsecond.
func (s *server) cpu(ctx context.Context) (float64, error) {
	user, err := s.info(ctx, "cpu", "used_cpu_user")
	if err != nil {
		return 0, err
	}
	kernel, err := s.info(ctx, "cpu", "used_cpu_sys")
	return user + kernel, err
}
