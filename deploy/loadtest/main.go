// Command loadtest measures a gateway: what it answers under load, what that
// costs in CPU and memory, and whether its promises about speed hold.
//
// Without -url it starts all it needs itself on loopback addresses: a Redis
// (redis-server must be installed), a gateway built from this module, and
// with bench the floor (package floor), which says what the work costs at the
// very least. Every answer is checked; a wrong one makes the command fail.
//
//	go run ./deploy/loadtest -op refresh -clients 64 -time 10s
//	go run ./deploy/loadtest -url http://127.0.0.1:8000 -app shop -secret … -user alice -password …
//	go run ./deploy/loadtest bench [-quick] [-only P1,P4] [-o deploy/BENCH.md]
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
	return runLoad(ctx, args)
}

// options are the flags of a single load.
type options struct {
	target
	url, op, mode, pids, jsonTo string
	settings, profile, admin    string
	clients, requests           int
	time                        time.Duration
	far, tuned                  bool
}

func (o *options) parse(args []string) error {
	f := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	f.StringVar(&o.op, "op", "refresh", "login, refresh, list, verify or mix")
	f.IntVar(&o.clients, "clients", 16, "clients, each with one connection and one request at a time; at most 1024")
	f.DurationVar(&o.time, "time", 5*time.Second, "how long; at most 4m")
	f.IntVar(&o.requests, "n", 0, "at most so many requests; 0: as many as fit into the time")
	f.StringVar(&o.url, "url", "", "a running gateway; empty: start one, on a Redis of its own")
	f.BoolVar(&o.far, "far", false, "allow a -url that is not on this machine")
	f.StringVar(&o.app, "app", labApp, "the app's name")
	f.StringVar(&o.secret, "secret", labSecret, "the app's SECRET_KEY")
	f.StringVar(&o.username, "user", cheapLogin, "username; %d stands for the client's number, from 0")
	f.StringVar(&o.password, "password", labPassword, "password of all of them")
	f.StringVar(&o.kind, "session", "LONG", "LONG or SHORT")
	f.StringVar(&o.info, "info", labInfo, "what a login says of its device")
	f.BoolVar(&o.rotate, "rotate", true, "whether the app's policy rotates refresh tokens")
	f.StringVar(&o.mode, "redis", "", `client options for the gateway that is started, such as "auto_pipeline=true"`)
	f.BoolVar(&o.tuned, "tuned", false, "start Redis with deploy/redis.conf instead of its defaults without persistence")
	f.StringVar(&o.settings, "settings", "", "settings for the gateway that is started, without TOKENGATE_, as NAME=value;NAME=value")
	f.StringVar(&o.profile, "profile", "", "write a CPU profile of the gateway that is started to this file")
	f.StringVar(&o.pids, "pids", "", "processes to watch with -url, as NAME=PID,…; equal names add up")
	f.StringVar(&o.jsonTo, "json", "", "write the result as JSON to this file, too")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case operations[o.op] == nil:
		return fmt.Errorf("-op %s: give login, refresh, list, verify or mix", o.op)
	case o.clients < 1 || o.clients > labUsers:
		return fmt.Errorf("-clients %d: give 1 to %d", o.clients, labUsers)
	case o.time <= 0 || o.time > maxTime:
		return fmt.Errorf("-time %s: give at most %s", o.time, maxTime)
	}
	return nil
}

// runLoad runs one load and prints what it showed.
func runLoad(ctx context.Context, args []string) error {
	var o options
	if err := o.parse(args); err != nil {
		return err
	}
	watch, done, err := o.prepare(ctx)
	defer done()
	if err != nil {
		return err
	}
	profiled := o.profiled(ctx)
	l := load{name: "gateway", op: o.op, time: o.time, requests: o.requests, watch: append(watch, loadgen)}
	for i := range o.clients {
		l.visitors = append(l.visitors, o.visitor(i))
	}
	r, failed := l.run(ctx)
	if failed != nil && !errors.Is(failed, errFailed) {
		return failed
	}
	failed = errors.Join(failed, profiled())
	printResults(os.Stdout, []result{r})
	if o.jsonTo != "" {
		failed = errors.Join(failed, writeJSON(o.jsonTo, r))
	}
	return failed
}

// prepare finds the gateway, or starts one, and says which processes to watch.
func (o *options) prepare(ctx context.Context) (watch []watched, done func(), err error) {
	if o.url != "" {
		if o.address, err = addressOf(o.url, o.far); err == nil {
			watch, err = parsePIDs(o.pids)
		}
		return watch, func() {}, err
	}
	if err := toModule(); err != nil {
		return nil, func() {}, err
	}
	l, err := newLab(ctx, func(string, ...any) {})
	if err != nil {
		return nil, func() {}, err
	}
	r, err := l.redis(ctx, o.tuned)
	if err != nil {
		return nil, l.close, err
	}
	g, err := l.gateway(ctx, r.url+"?"+o.mode, strings.FieldsFunc(o.settings, func(r rune) bool { return r == ';' })...)
	if err != nil {
		return nil, l.close, err
	}
	o.address, o.admin = g.address, g.admin
	return []watched{g.watched(), r.watched()}, l.close, nil
}

// profiled begins to take a profile, if one is wanted, and gives what waits for
// it and writes it.
func (o *options) profiled(ctx context.Context) (wait func() error) {
	if o.profile == "" || o.admin == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		seconds := max(1, int(o.time.Seconds()))
		resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", o.admin, seconds))
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

// addressOf gives the address of a URL. One that is not on this machine must
// be allowed: a load that goes to the wrong place is an attack.
func addressOf(text string, far bool) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return "", errors.New("-url: give http://HOST:PORT")
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "80")
	}
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return "", fmt.Errorf("-url: %w", err)
	}
	if !far && !at.IP.IsLoopback() {
		return "", fmt.Errorf("-url: %s is not on this machine; if it may be put under load, say so with -far", at.IP)
	}
	return address, nil
}

func parsePIDs(list string) (all []watched, err error) {
	for entry := range strings.SplitSeq(list, ",") {
		if entry == "" {
			continue
		}
		name, number, _ := strings.Cut(entry, "=")
		pid, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("-pids: %q is not NAME=PID", entry)
		}
		all = append(all, watched{name, pid})
	}
	return all, nil
}

// toModule makes the module's root the working directory: the servers are built
// from there, and deploy/redis.conf lies below it.
func toModule() error {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return err
	}
	return os.Chdir(filepath.Dir(strings.TrimSpace(string(out))))
}
