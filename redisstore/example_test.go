package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"tokengate/redisstore"
	"tokengate/session"
)

// startRedis starts a server on a socket in dir and waits until it answers.
func startRedis(dir string) (url string, stop func()) {
	socket := filepath.Join(dir, "redis.sock")
	server := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	if err := server.Start(); err != nil {
		panic(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			_ = server.Process.Kill()
			panic(err)
		}
	}
	return "unix://" + socket, func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}
}

// Two instances of the gateway share their sessions. While Redis is down, each step fails
// with Unavailable, which never means that there is no session.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	url, stop := startRedis(dir)
	defer stop()

	options := redisstore.Defaults()
	options.URL = url
	var instances [2]*redisstore.Store
	for i := range instances {
		if instances[i], err = redisstore.New(options); err != nil {
			panic(err) // with log.Fatal, the server would go on running
		}
		defer instances[i].Close()
	}
	alice := session.Owner{App: "shop", User: "1"}
	created, err := instances[0].Create(ctx, session.CreateStep{
		Owner: alice, Policy: session.Policy{Lifetime: 30 * 24 * time.Hour, AbsoluteLifetime: 90 * 24 * time.Hour},
		Session: session.Session{ID: session.NewID().WithType(session.Long), Type: session.Long, Secret: session.NewSecret()},
	})
	if err != nil {
		panic(err)
	}
	live := session.LiveStep{Owner: alice, ID: created.Session.ID}
	fmt.Println("created:", session.CodeOf(instances[1].Live(ctx, live)))

	revoke := session.RevokeStep{Owner: alice, ID: created.Session.ID, Cause: session.CauseOperator, By: "support"}
	if _, err := instances[1].Revoke(ctx, revoke); err != nil {
		panic(err)
	}
	err = instances[0].Live(ctx, live)
	fmt.Println("revoked:", session.CodeOf(err), session.CauseOf(err))

	stop()
	fmt.Println("no Redis:", session.CodeOf(instances[0].Live(ctx, live)))
	// Output:
	// created: ok
	// revoked: ended operator
	// no Redis: unavailable
}
