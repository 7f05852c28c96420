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

	"tokengate/deploy/ports"
	"tokengate/session/credential"
)

// The one app of a lab, its users and keys. They guard nothing.
const (
	labApp      = "lab"
	labSecret   = "lab-secret-0123456789abcdef"
	labKey      = "lab-signing-key-0123456789abcdef0123456789abcdef"
	labPassword = "lab-password"
	labUsers    = 1024                                       // user0…, whose passwords cost nothing to check
	stormUsers  = 64                                         // storm0…, whose passwords cost what new ones do
	labInfo     = "Firefox 140 on Linux, kitchen laptop, #1" // 40 bytes
)

// lab is where the servers of a measurement live. All of them are on loopback,
// and gone when the lab is closed.
type lab struct {
	dir       string
	gatewayAt string // path of the binary
	floorAt   string
	users     string // path of the user file
	processes []*process
	claims    []func() // give the ports back
	say       func(format string, args ...any)
}

// newLab builds the servers as they are shipped. The variable TOKENGATE_BIN
// names a gateway to use instead.
func newLab(ctx context.Context, say func(string, ...any)) (*lab, error) {
	dir, err := os.MkdirTemp("", "tokengate-load")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, say: say, gatewayAt: os.Getenv("TOKENGATE_BIN"), users: filepath.Join(dir, "users.json")}
	if err := l.build(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) build(ctx context.Context) (err error) {
	l.say("building")
	if l.gatewayAt == "" {
		if l.gatewayAt, err = build(ctx, l.dir, "tokengate"); err != nil {
			return err
		}
	}
	if l.floorAt, err = build(ctx, l.dir, "tokengate/deploy/loadtest/floor"); err != nil {
		return err
	}
	return writeUsers(l.users)
}

// close stops all servers and forgets what they kept.
func (l *lab) close() {
	l.reset()
	_ = os.RemoveAll(l.dir)
}

// reset stops the servers of the measurement before.
func (l *lab) reset() {
	for _, p := range l.processes {
		p.stop()
	}
	for _, release := range l.claims {
		release()
	}
	l.processes, l.claims = nil, nil
}

// address is one for a server, until the next reset.
func (l *lab) address() (string, error) {
	port, release, err := ports.Claim()
	if err != nil {
		return "", err
	}
	l.claims = append(l.claims, release)
	return ports.On(port), nil
}

func writeUsers(path string) error {
	sum, err := pbkdf2.Key(sha256.New, labPassword, []byte("lab"), 1, sha256.Size)
	if err != nil {
		return err
	}
	cheap := "pbkdf2_sha256$1$lab$" + base64.StdEncoding.EncodeToString(sum)
	dear := credential.Hash(labPassword)
	type user struct {
		ID       int    `json:"id"`
		Username string `json:"username"`
		Password string `json:"password"`
		Active   bool   `json:"is_active"`
	}
	var users []user
	for i := range labUsers {
		users = append(users, user{i + 1, fmt.Sprintf("user%d", i), cheap, true})
	}
	for i := range stormUsers {
		users = append(users, user{labUsers + i + 1, fmt.Sprintf("storm%d", i), dear, true})
	}
	text, err := json.Marshal(users)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// server is a redis-server with a connection to ask it things.
type server struct {
	*process
	url string
	rdb *redis.Client
}

// redis starts a server on Redis's defaults without persistence, or, with
// tuned, on deploy/redis.conf.
func (l *lab) redis(ctx context.Context, tuned bool) (*server, error) {
	address, err := l.address()
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	dir, err := os.MkdirTemp(l.dir, "redis")
	if err != nil {
		return nil, err
	}
	argv := []string{"redis-server"}
	if tuned {
		argv = append(argv, "deploy/redis.conf")
	} else {
		argv = append(argv, "--save", "", "--appendonly", "no")
	}
	argv = append(argv, "--port", port, "--bind", host, "--dir", dir)
	p, err := l.start("redis", address, nil, argv...)
	if err != nil {
		return nil, err
	}
	s := &server{p, "redis://" + address, redis.NewClient(&redis.Options{Addr: address, Protocol: 2})}
	return s, p.await(ctx, func() error { return s.rdb.Ping(ctx).Err() })
}

func (l *lab) start(name, address string, env []string, argv ...string) (*process, error) {
	p, err := start(l.dir, name, env, argv...)
	if err != nil {
		return nil, err
	}
	p.address = address
	l.processes = append(l.processes, p)
	return p, nil
}

// gateway starts a gateway on its defaults over a server. more is settings
// without TOKENGATE_, as NAME=value.
func (l *lab) gateway(ctx context.Context, url string, more ...string) (*process, error) {
	p, ready, err := l.launch(url, more...)
	if err != nil {
		return nil, err
	}
	return p, p.await(ctx, ready)
}

// launch is gateway without the wait; ready tells whether it is over.
func (l *lab) launch(url string, more ...string) (p *process, ready func() error, err error) {
	address, err := l.address()
	if err != nil {
		return nil, nil, err
	}
	admin, err := l.address()
	if err != nil {
		return nil, nil, err
	}
	env := goEnvironment()
	for _, setting := range append([]string{
		"LISTEN=" + address, "ADMIN_LISTEN=" + admin, "REDIS_URL=" + url, "APPS=" + labApp, "SHUTDOWN_DELAY=0s",
		"APP_LAB_SECRET_KEY=" + labSecret, "APP_LAB_SIGNING_KEY=" + labKey, "APP_LAB_USERS=file:" + l.users,
	}, more...) {
		env = append(env, "TOKENGATE_"+setting)
	}
	if p, err = l.start("gateway", address, env, l.gatewayAt, "serve"); err != nil {
		return nil, nil, err
	}
	p.admin = admin
	return p, answers("http://" + admin + "/readyz"), nil
}

// goEnvironment is what of the environment a server is given: nothing but the
// variables by which Go's runtime is tuned.
func goEnvironment() (env []string) {
	for _, name := range []string{"GOGC", "GOMAXPROCS", "GOMEMLIMIT"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// floor starts the floor over a server.
func (l *lab) floor(ctx context.Context, url string, pipelined bool) (*process, error) {
	address, err := l.address()
	if err != nil {
		return nil, err
	}
	p, err := l.start("floor", address, goEnvironment(), l.floorAt,
		"-listen", address, "-redis", url, "-key", labKey, fmt.Sprintf("-auto-pipeline=%t", pipelined))
	if err != nil {
		return nil, err
	}
	return p, p.await(ctx, accepts(address))
}

// visitors makes clients of the lab's app on p.
func (l *lab) visitors(p *process, n int, username string) []*visitor {
	t := &target{
		address: p.address, app: labApp, secret: labSecret, username: username, password: labPassword,
		kind: "LONG", info: labInfo, rotate: true,
	}
	all := make([]*visitor, n)
	for i := range all {
		all[i] = t.visitor(i)
	}
	return all
}

const (
	cheapLogin = "user%d"
	dearLogin  = "storm%d"
)

// info reads one number of INFO.
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

// cpu is the seconds that the server has computed, to the microsecond.
func (s *server) cpu(ctx context.Context) (float64, error) {
	user, err := s.info(ctx, "cpu", "used_cpu_user")
	if err != nil {
		return 0, err
	}
	kernel, err := s.info(ctx, "cpu", "used_cpu_sys")
	return user + kernel, err
}
