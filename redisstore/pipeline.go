package redisstore

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// pipelines has a pipeline for each server, so that a node of a Cluster that does not
// answer delays only its own steps. The key is the node's address, or "" if there is no
// Cluster. Addresses that are no longer used are kept, at some hundred bytes each.
type pipelines struct{ byNode sync.Map }

// of returns the pipeline of a node.
func (p *pipelines) of(name string) *pipeline {
	found, ok := p.byNode.Load(name)
	if !ok {
		found, _ = p.byNode.LoadOrStore(name, &pipeline{})
	}
	return found.(*pipeline)
}

// maxQueued limits how long a step waits for the replies to those before it. Then the
// waiting steps are sent on another connection, because the first one may be broken.
const maxQueued = 20 * time.Millisecond

// pipeline sends steps to one server. While a step is on its way, others wait, and are then
// sent together: Redis needs fewer system calls for them. A step that finds no other on its
// way is sent at once, as if there were no pipeline.
//
// The client's own AutoPipeliner is not used. A connection that does not answer delays all
// steps until the read timeout, in a Cluster also with several batches at a time, because
// steps are held back while a batch is on its way. And a step that is alone passes two more
// goroutines, which nearly doubles its time.
type pipeline struct {
	mu      sync.Mutex
	waiting *batch      // nil if no step waits
	sending int         // batches on their way
	overdue *time.Timer // calls sendOverdue; nil until a step waits
}

// batch is a number of steps that are sent together.
type batch struct {
	server redis.UniversalClient // that of the last step, because a Cluster's client replaces those of its nodes
	cmds   []redis.Cmder
	done   chan struct{} // closed when the replies are there
	err    error         // of sending them, for errorOf; set before done is closed
}

// errorOf returns why a command of a pipeline has no reply, or nil. failed is the error of the
// pipeline: if a new connection was refused by an error reply, its commands have none.
func errorOf(cmd *redis.Cmd, failed error) error {
	if cmd.Err() == nil && cmd.Val() == nil {
		return failed
	}
	return cmd.Err()
}

// process runs a command. If ctx ends first, the command must not be read, because it may
// still get its reply.
func (p *pipeline) process(ctx context.Context, server redis.UniversalClient, cmd noRetryCmd) error {
	p.mu.Lock()
	first := p.sending == 0
	if first {
		p.sending++
		p.mu.Unlock()
		runtime.Gosched() // lets goroutines that are about to run a step join this one
		p.mu.Lock()
	}
	if first && p.waiting == nil {
		p.mu.Unlock()
		return p.sendAlone(ctx, server, cmd)
	}
	b := p.add(server, cmd)
	if first {
		go p.send(p.take())
	}
	p.mu.Unlock()
	select {
	case <-b.done:
		return errorOf(cmd.Cmd, b.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendAlone sends a command as if there were no pipeline, and then lets others send those that
// wait.
func (p *pipeline) sendAlone(ctx context.Context, server redis.UniversalClient, cmd noRetryCmd) error {
	defer func() {
		if b := p.next(); b != nil {
			go p.send(b)
		}
	}()
	return server.Process(ctx, cmd)
}

// add adds a command to the batch that waits. The caller holds mu.
func (p *pipeline) add(server redis.UniversalClient, cmd noRetryCmd) *batch {
	if p.waiting == nil {
		p.waiting = &batch{done: make(chan struct{})}
		if p.overdue == nil {
			p.overdue = time.AfterFunc(maxQueued, p.sendOverdue)
		} else {
			p.overdue.Reset(maxQueued)
		}
	}
	p.waiting.server, p.waiting.cmds = server, append(p.waiting.cmds, cmd)
	return p.waiting
}

// send sends a batch, and then those that have formed in the meantime.
func (p *pipeline) send(b *batch) {
	for b != nil {
		pipe := b.server.Pipeline()
		_ = pipe.BatchProcess(context.Background(), b.cmds...) // a pipeline only queues them
		_, b.err = pipe.Exec(context.Background())
		close(b.done)
		runtime.Gosched() // lets callers that have got their replies add their next steps
		b = p.next()
	}
}

// next returns the batch to send after another one. It returns nil, and the sender must stop,
// if no step waits, or if there is another sender: one is enough unless a server is slow,
// and then sendOverdue starts more.
func (p *pipeline) next() *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sending == 1 {
		if b := p.take(); b != nil {
			return b
		}
	}
	p.sending--
	return nil
}

// sendOverdue sends the steps that have waited for maxQueued.
func (p *pipeline) sendOverdue() {
	p.mu.Lock()
	b := p.take()
	if b != nil {
		p.sending++
	}
	p.mu.Unlock()
	p.send(b)
}

// take returns the waiting steps, or nil if there are none. The caller holds mu.
func (p *pipeline) take() *batch {
	b := p.waiting
	if b != nil {
		p.waiting = nil
		p.overdue.Stop()
	}
	return b
}
