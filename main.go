// Command tokengate is a stateless token gateway: it checks credentials, issues access
// and refresh tokens, and keeps every user's sessions in Redis. README.md describes it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"tokengate/session/cli"
	"tokengate/session/config"
	"tokengate/session/password"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // most allocations are short-lived; a higher value costs too much memory at 256 connections
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Executable: password.ThisProgram()})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tokengate:", err)
		os.Exit(1)
	}
}

// run runs one command with its arguments. It returns when the command is done.
func run(ctx context.Context, args []string, std cli.Stdio) error {
	hangups := notifyHangups(args) // first, because a hangup would end the process
	program := cli.Program{ServeWorker: password.ServeWorker}
	program.Serve = func(ctx context.Context, c *config.Config, std cli.Stdio) error { return serve(ctx, c, std, hangups) }
	program.Assemble = func(ctx context.Context, c *config.Config, std cli.Stdio) (*cli.Gateway, error) {
		g, err := assemble(ctx, c, std)
		if err != nil {
			return nil, err
		}
		return &g.current.Load().Gateway, nil
	}
	return program.Run(ctx, args, std)
}
