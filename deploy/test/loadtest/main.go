// Command loadtest measures a gateway: its throughput and latency under load, its
// CPU time and memory, and whether it meets its performance targets.
//
// Without -url it starts the servers that it needs on loopback addresses: a Redis
// server (redis-server must be installed) and a gateway built from this module.
// The subcommand bench also starts the baseline (directory baseline), which does
// the same work at the lowest possible cost. Each response is checked; if one is
// wrong the command fails.
//
//	go run ./deploy/test/loadtest -op refresh -clients 64 -time 10s
//	go run ./deploy/test/loadtest -url http://127.0.0.1:8000 -app shop -secret … -user alice -password …
//	go run ./deploy/test/loadtest bench [-quick] [-only P1,P4] [-o deploy/docs/performance.md]
//
// bench starts the subcommand attack itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "bench" {
		return runBench(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == "attack" {
		return runAttack(ctx, args[1:])
	}
	return runLoad(ctx, args)
}

// options are the flags of a single load.
type options struct {
	target
	url, op, mode, pids, jsonTo string
	settings, profile, admin    string
	clients, requests           int
	duration                    time.Duration
	remote, tuned               bool
}

func (o *options) parse(args []string) error {
	f := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	f.StringVar(&o.op, "op", "refresh", "login, refresh, list, verify or mix")
	f.IntVar(&o.clients, "clients", 16, "number of clients, each with one connection and one request at a time; at most 1024")
	f.DurationVar(&o.duration, "time", 5*time.Second, "duration of the load; at most 4m")
	f.IntVar(&o.requests, "n", 0, "maximum number of requests; 0 means as many as the duration allows")
	f.StringVar(&o.url, "url", "", "URL of a running gateway; empty means to start one, with a Redis server of its own")
	f.BoolVar(&o.remote, "far", false, "allow a -url that is not on this machine")
	f.StringVar(&o.app, "app", testApp, "name of the app")
	f.StringVar(&o.secret, "secret", testSecret, "SECRET_KEY of the app")
	f.StringVar(&o.username, "user", cheapUsername, "username; %d stands for the number of the client, from 0")
	f.StringVar(&o.password, "password", testPassword, "password of all users")
	f.StringVar(&o.sessionType, "session", "LONG", "LONG or SHORT")
	f.StringVar(&o.info, "info", testInfo, "device info of the logins")
	f.BoolVar(&o.rotate, "rotate", true, "whether the app's policy rotates refresh tokens")
	f.StringVar(&o.mode, "redis", "", `client options for the gateway that is started, such as "auto_pipeline=false"`)
	f.BoolVar(&o.tuned, "tuned", false, "start Redis with deploy/redis.conf instead of its defaults without persistence")
	f.StringVar(&o.settings, "settings", "", "settings for the gateway that is started, without TOKENGATE_, as NAME=value;NAME=value")
	f.StringVar(&o.profile, "profile", "", "write a CPU profile of the gateway that is started to this file")
	f.StringVar(&o.pids, "pids", "", "processes to monitor with -url, as NAME=PID,…; processes with the same name are added up")
	f.StringVar(&o.jsonTo, "json", "", "also write the result as JSON to this file")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case operations[o.op] == nil:
		return fmt.Errorf("invalid -op %s: give login, refresh, list, verify or mix", o.op)
	case o.clients < 1 || o.clients > cheapUsers:
		return fmt.Errorf("invalid -clients %d: give 1 to %d", o.clients, cheapUsers)
	case o.duration <= 0 || o.duration > maxDuration:
		return fmt.Errorf("invalid -time %s: give at most %s", o.duration, maxDuration)
	}
	return nil
}

// runLoad runs one load and prints its result.
func runLoad(ctx context.Context, args []string) error {
	var o options
	if err := o.parse(args); err != nil {
		return err
	}
	processes, done, err := o.prepare(ctx)
	defer done()
	if err != nil {
		return err
	}
	waitProfile := o.startProfile(ctx)
	l := load{name: "gateway", op: o.op, duration: o.duration, requests: o.requests, monitor: append(processes, loadGenerator)}
	for i := range o.clients {
		l.users = append(l.users, o.virtualUser(i))
	}
	r, err := l.run(ctx)
	if err != nil && !errors.Is(err, errRequestsFailed) {
		return err
	}
	err = errors.Join(err, waitProfile())
	printResults(os.Stdout, []result{r})
	if o.jsonTo != "" {
		err = errors.Join(err, writeJSON(o.jsonTo, r))
	}
	return err
}

// prepare finds the gateway, or starts one. It returns the processes to monitor and
// a function that stops the servers it started, which is never nil.
func (o *options) prepare(ctx context.Context) (processes []monitored, done func(), err error) {
	if o.url != "" {
		if o.address, err = addressOf(o.url, o.remote); err == nil {
			processes, err = parsePIDs(o.pids)
		}
		return processes, func() {}, err
	}
	if err := changeToModule(); err != nil {
		return nil, func() {}, err
	}
	t, err := newTestbed(ctx, func(string, ...any) {})
	if err != nil {
		return nil, func() {}, err
	}
	config := nothingSaved
	if o.tuned {
		config = oneServer
	}
	r, g, err := t.startServers(ctx, config, "?"+o.mode, strings.FieldsFunc(o.settings, func(r rune) bool { return r == ';' })...)
	if err != nil {
		return nil, t.close, err
	}
	o.address, o.admin = g.address, g.admin
	return []monitored{g.monitored(), r.monitored()}, t.close, nil
}

// startProfile starts a CPU profile if -profile is given and the gateway was started
// by this command. The returned function waits until the profile is written.
func (o *options) startProfile(ctx context.Context) (wait func() error) {
	if o.profile == "" || o.admin == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		seconds := min(max(1, int(o.duration.Seconds())), 30) // a gateway takes no longer profile
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", o.admin, seconds), nil)
		if err != nil {
			done <- err
			return
		}
		req.Header.Set("Authorization", "Bearer "+testAdminToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			done <- err
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		done <- errors.Join(err, os.WriteFile(o.profile, text, 0o644))
	}()
	return func() error {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// addressOf returns the HOST:PORT of a URL. Unless remote is set, it must be on this
// machine: a load sent to the wrong host by mistake is an attack on that host.
func addressOf(text string, remote bool) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return "", errors.New("invalid -url: give http://HOST:PORT")
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "80")
	}
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return "", fmt.Errorf("-url: %w", err)
	}
	if !remote && !resolved.IP.IsLoopback() {
		return "", fmt.Errorf("-url: %s is not on this machine; if you may put it under load, give -far", resolved.IP)
	}
	return address, nil
}

func parsePIDs(list string) (all []monitored, err error) {
	for entry := range strings.SplitSeq(list, ",") {
		if entry == "" {
			continue
		}
		name, number, _ := strings.Cut(entry, "=")
		pid, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("-pids: invalid entry %q; give NAME=PID", entry)
		}
		all = append(all, monitored{name, pid})
	}
	return all, nil
}

// changeToModule changes the working directory to the root of the module, because
// the servers are built from there and deploy/redis.conf is relative to it.
func changeToModule() error {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return err
	}
	return os.Chdir(filepath.Dir(strings.TrimSpace(string(out))))
}
