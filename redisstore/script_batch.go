package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// scriptRun is one run of a script, and its outcome.
type scriptRun struct {
	script *script
	call   *call
	reply  reply
	err    error
}

// maxBatches bounds the batches of scripts that are on their way to one server. The steps of
// other apps wait until the server has run what came before them, and for a connection. So
// many logins that come at once must not all send their scripts at once.
const maxBatches = 8

// batchWait is how long a batch waits until it is sent, as long as a step waits for a
// connection by default.
const batchWait = 2 * time.Second

var errBatchWait = errors.New("too many logins at once for the server")

// batchTurns has, for each server, a channel with one element for each batch on its way. Its
// keys are those of pipelines.
type batchTurns struct{ byNode sync.Map }

// acquire waits until a batch may be sent to a server, and returns the function that lets the
// next one be sent.
func (t *batchTurns) acquire(ctx context.Context, name string) (release func(), err error) {
	found, ok := t.byNode.Load(name)
	if !ok {
		found, _ = t.byNode.LoadOrStore(name, make(chan struct{}, maxBatches))
	}
	turns := found.(chan struct{})
	timer := time.NewTimer(batchWait)
	defer timer.Stop()
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, errBatchWait
	}
}

// runTogether runs scripts whose keys may be in different slots, in one round trip: those
// for one server are sent together, and all servers at the same time. It takes a second one
// for the scripts that a server does not have. Each run is atomic, and has its own outcome.
// The scripts have no latest start, and do not wait for replicas.
func (s *Store) runTogether(ctx context.Context, runs ...*scriptRun) {
	for _, r := range runs {
		if err := s.checkRights(ctx, r.script, r.call); err != nil {
			failAll(runs, err)
			return
		}
	}
	start := time.Now()
	s.sendTogether(ctx, runs, false)
	var missing []*scriptRun
	for _, r := range runs {
		if redis.HasErrorPrefix(r.err, "NOSCRIPT") {
			missing = append(missing, r)
		}
	}
	if len(missing) > 0 {
		s.sendTogether(ctx, missing, true)
	}
	for _, r := range runs {
		r.reply, r.err = s.finish(r.script, r.call, r.reply, r.err, start)
	}
}

func failAll(runs []*scriptRun, err error) {
	for _, r := range runs {
		r.err = err
	}
}

// sendTogether sends each script once: its digest, or with eval its text.
func (s *Store) sendTogether(ctx context.Context, runs []*scriptRun, eval bool) {
	if err := givenUp(ctx); err != nil {
		failAll(runs, err)
		return
	}
	byNode := map[node][]*scriptRun{}
	for _, r := range runs {
		var n node
		if n, r.err = s.nodeOf(ctx, r.call.firstKey()); r.err == nil {
			byNode[n] = append(byNode[n], r)
		}
	}
	var wg sync.WaitGroup
	for n, runs := range byNode {
		wg.Go(func() { s.sendToNode(ctx, n, runs, eval) })
	}
	wg.Wait()
}

// sendToNode sends scripts in one pipeline. The client follows a redirection to another
// node of a Cluster.
func (s *Store) sendToNode(ctx context.Context, n node, runs []*scriptRun, eval bool) {
	release, err := s.batches.acquire(ctx, n.name)
	if err != nil {
		failAll(runs, err)
		return
	}
	defer release()
	pipe := n.client.Pipeline()
	cmds := make([]noRetryCmd, len(runs))
	for i, r := range runs {
		cmds[i] = r.command(ctx, eval)
		_ = pipe.Process(ctx, cmds[i]) // a pipeline only queues it
	}
	_, failed := pipe.Exec(ctx)
	for i, r := range runs {
		r.err = errorOf(cmds[i].Cmd, failed)
		if redirected(r.err) {
			cmds[i] = r.command(ctx, eval)
			r.err = s.client.Process(ctx, cmds[i])
		}
		r.reply.elements, _ = cmds[i].Val().([]any)
	}
}

func (r *scriptRun) command(ctx context.Context, eval bool) noRetryCmd {
	args, _ := r.call.command(r.script, eval)
	return noRetryCmd{redis.NewCmd(ctx, args...), ctx}
}
