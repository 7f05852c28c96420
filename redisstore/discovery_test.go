package redisstore_test

import (
	"bufio"
	"net"
	"slices"
	"strings"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// reading are the steps that run no script that writes, or need no script.
var reading = []string{"FindAccount", "Account", "Accounts", "Ping", "RemoveAccount", "Refusals"}

// TestServersAreUnsuitable checks that steps fail with Unavailable if the store can't find the
// servers, can't log in, or the servers refuse a command.
func TestServersAreUnsuitable(t *testing.T) {
	r, plain, c := redistest.Sentinel(t), redistest.Standalone(t), redistest.Cluster(t, 1)
	current := login(t, open(t, plain.URL), alice, policy).Session
	login(t, open(t, c.URL), alice, policy)

	denied, nowhere, forgetful := redistest.Cluster(t, 1), redistest.Cluster(t, 1), redistest.Cluster(t, 1)
	denied.Nodes[0].Do("ACL", "SETUSER", "default", "-cluster")
	nowhere.Nodes[0].Do("CONFIG", "SET", "cluster-announce-ip", "no-such-host.invalid")
	nowhere.Nodes[0].Do("CLUSTER", "SETSLOT", "0", "STABLE") // until then, Valkey 8.0 repeats its last answer to CLUSTER SLOTS
	forgetful.Nodes[0].Do("CLUSTER", "FLUSHSLOTS")
	dbs := redistest.Standalone(t)
	dbs.Do("ACL", "SETUSER", "default", "-select")
	renamed := func(command string) string {
		return redistest.Standalone(t, "--rename-command", command, "").URL
	}
	type unsuitable struct {
		url       string
		unchecked []string // steps that may succeed
	}
	tests := map[string]unsuitable{
		"Sentinel does not know the master": {url: strings.Replace(r.URL, "/tokengate", "/other", 1)},
		"no Sentinel":                       {url: "redis+sentinel://" + plain.Addr + "/tokengate"},
		"no Cluster":                        {url: "redis+cluster://" + plain.Addr},
		"CLUSTER SLOTS is refused":          {url: denied.URL},
		"nodes with an unknown name":        {url: nowhere.URL},
		"slots without a node":              {forgetful.URL, nil},
		"CLUSTER is unknown":                {url: strings.Replace(renamed("CLUSTER"), "redis:", "redis+cluster:", 1)},
		"database does not exist":           {url: plain.URL + "/99"},
		"SELECT is refused":                 {url: dbs.URL + "/1"},
		"SELECT is unknown":                 {url: renamed("SELECT") + "/1"},
		"password where none is set":        {url: "redis://:s3cret@" + strings.TrimPrefix(renamed("HELLO"), "redis://")},
		"AUTH is unknown":                   {url: "redis://:s3cret@" + strings.TrimPrefix(redistest.Standalone(t, "--rename-command", "HELLO", "", "--rename-command", "AUTH", "").URL, "redis://")},
		"EVALSHA is unknown":                {renamed("EVALSHA"), reading},
		"EVAL is unknown":                   {renamed("EVAL"), reading},
		"TIME is unknown":                   {renamed("TIME"), append(slices.Clone(reading), "Live", "PutAccount", "Ready", "Succeed", "Release", "Forget")},
	}
	if !strings.Contains(plain.Do("INFO", "server"), "redis_version:6.") { // whose nodes always give addresses
		for name, endpoint := range map[string]string{"nodes without a name": "hostname", "nodes with an unknown address": "unknown-endpoint"} {
			cluster := redistest.Cluster(t, 1)
			cluster.Nodes[0].Do("CONFIG", "SET", "cluster-preferred-endpoint-type", endpoint)
			tests[name] = unsuitable{url: cluster.URL}
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			errs := runSteps(open(t, test.url), current)
			delete(errs, "Warnings") // describes the servers itself
			for _, step := range test.unchecked {
				delete(errs, step)
			}
			wantUnavailable(t, errs)
			for step, err := range errs {
				if err != nil && strings.Contains(err.Error(), "s3cret") {
					t.Errorf("the error of %s contains the password: %v", step, err)
				}
			}
		})
	}
}

// TestReplyIsNoResult checks that a reply that is no result of a script is Internal only if it
// shows a defect.
func TestReplyIsNoResult(t *testing.T) {
	for reply, want := range map[string]session.Code{
		"+OK": session.Internal, ":1": session.Internal, "*0": session.Internal,
		"$-1": session.Unavailable, // the client's error is that of a Cluster that does not tell its addresses
		"-WRONGTYPE Operation against a key holding the wrong kind of value script: 1, on @user_script:1.":             session.Internal,
		"-ERR user_script:1: attempt to index a nil value script: 1, on @user_script:1.":                               session.Internal,
		"-ERR Error running script (call to f_1): @user_script:1: user_script:1: attempt to index a nil value":         session.Internal,
		"-ERR Error running script (call to f_1): @user_script:1: WRONGTYPE Operation against a key of the wrong kind": session.Internal,
		"-ERR Error compiling script (new function): user_script:1: unexpected symbol":                                 session.Internal,
		"-ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed when used memory > maximum": session.Unavailable,
		"-ERR Error running script (call to f_1): @user_script:1: Script killed by user with SCRIPT KILL...":           session.Unavailable,
		"-ERR Error running script (call to f_1): @user_script:1: Unknown Redis command called from Lua script":        session.Unavailable,
		"-ERR Unknown Redis command called from script script: 1, on @user_script:1.":                                  session.Unavailable,
		"-ERR Unknown command called from script script: 1, on @user_script:1.":                                        session.Unavailable,
		"-ERR Error running script (call to f_1): @user_script:1: The user executing the script can't run it":          session.Unavailable,
		"-ERR ACL failure in script: User u can't run the 'xadd' command script: 1, on @user_script:1.":                session.Unavailable,
		"-OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script:1.":                       session.Unavailable,
		"-ERR unknown command 'EVALSHA', with args beginning with:":                                                    session.Unavailable,
		"-CROSSSLOT Keys in request don't hash to the same slot":                                                       session.Unavailable,
		"-ERR This instance has cluster support disabled":                                                              session.Unavailable,
		"-SOMETHING that a proxy says": session.Unavailable,
	} {
		s := open(t, "redis://"+answering(t, "evalsha", reply))
		if err := s.Live(ctx, session.LiveStep{Owner: alice, ID: session.NewID()}); session.CodeOf(err) != want {
			t.Errorf("%s: got %v, want %s", reply, err, want)
		}
	}
}

// TestRefusedConnectionWithWait checks that steps that wait for replicas fail with Unavailable if
// the server refuses their connection.
func TestRefusedConnectionWithWait(t *testing.T) {
	srv := redistest.Standalone(t)
	current := login(t, open(t, srv.URL), alice, policy).Session
	errs := runSteps(open(t, srv.URL+"/99", waiting), current)
	delete(errs, "Warnings")
	wantUnavailable(t, errs)
}

// answering starts a server that answers one command with a reply, and returns its address.
func answering(t *testing.T, command, reply string) string {
	t.Helper()
	return fakeServer(t, func(word string) string {
		if word == command {
			return reply
		}
		return ""
	})
}

// fakeServer starts a server that calls answer with each line that it receives, which is a
// command or a part of one, in lower case, and returns its address. An empty reply is not sent.
func fakeServer(t *testing.T, answer func(line string) (reply string)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for r := bufio.NewScanner(conn); r.Scan(); {
					line := strings.ToLower(r.Text())
					reply := answer(line)
					switch {
					case line == "hello":
						reply = "-ERR unknown command 'HELLO'"
					case reply == "":
						continue
					}
					if _, err := conn.Write([]byte(reply + "\r\n")); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestClientSendsNoIdentity checks that the store sends no CLIENT SETINFO to any server, which the
// Redis user need not be allowed to run.
func TestClientSendsNoIdentity(t *testing.T) {
	single, replicated := redistest.Standalone(t), redistest.Sentinel(t)
	toSingle := newProxy(t, single.Addr)
	_, toCluster := proxiedCluster(t)
	toPrimary, toSentinel := newProxy(t, replicated.Primary.Addr), newProxy(t, replicated.Sentinel.Addr)
	h, port, _ := net.SplitHostPort(toPrimary.addr)
	replicated.Sentinel.Do("SENTINEL", "MONITOR", "proxied", h, port, "1")
	for url, proxies := range map[string][]*proxy{
		"redis://" + toSingle.addr:                          {toSingle},
		"redis://" + toSingle.addr + "?auto_pipeline=false": {toSingle},
		"redis+cluster://" + toCluster.addr:                 {toCluster},
		"redis+sentinel://" + toSentinel.addr + "/proxied":  {toPrimary, toSentinel},
	} {
		s := open(t, url)
		login(t, s, alice, policy)
		follow(t, s)
		for _, p := range proxies {
			waitFor(t, "the server has been asked", func() bool { return strings.Contains(strings.ToLower(p.received()), "hello") })
		}
		for _, p := range append([]*proxy{toSingle}, proxies...) {
			if strings.Contains(strings.ToLower(p.received()), "setinfo") {
				t.Errorf("%s: the store has sent CLIENT SETINFO", url)
			}
		}
	}
}

// TestWarningsFindSlotsWithoutMaster checks that a Cluster is not suitable if one slot has no
// master, whichever it is.
func TestWarningsFindSlotsWithoutMaster(t *testing.T) {
	c := redistest.Cluster(t, 1)
	c.Nodes[0].Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	if _, err := open(t, c.URL).Warnings(ctx); err != nil {
		t.Fatal(err)
	}
	c.Nodes[0].Do("CLUSTER", "DELSLOTS", "100")
	if _, err := open(t, c.URL).Warnings(ctx); session.CodeOf(err) != session.Unavailable || !strings.Contains(err.Error(), "1 of the Cluster's 16384 slots") {
		t.Errorf("got %v, want the number of slots without a master", err)
	}
}
