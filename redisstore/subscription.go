package redisstore

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	resubscribeAfter = time.Second
	// subscriptionCheck is how long the channel may be silent before the server is asked
	// for a sign of life, and how long the answer may take.
	subscriptionCheck = 3 * time.Second
)

var errNoPong = errors.New("the server does not answer PING")

// listen passes the messages of the channel on, and says when it has subscribed, until ctx is
// done or the store is closed. If the subscription fails, it subscribes again. The client's own
// Channel does not return the error, and waits forever after the server has refused the
// subscription.
func (s *Store) listen(ctx context.Context, messages chan<- string, subscribed chan<- struct{}) {
	for {
		err := s.receive(ctx, messages, subscribed)
		if stopped(ctx, err) {
			return
		}
		s.subscription.report(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(resubscribeAfter):
		}
	}
}

// stopped reports whether an error has no other cause than the end of Follow or of the store.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, redis.ErrClosed)
}

// receive subscribes once, and returns the first error.
func (s *Store) receive(ctx context.Context, messages chan<- string, subscribed chan<- struct{}) error {
	channel := s.client.Subscribe(ctx, s.schema.channel())
	defer channel.Close()
	defer context.AfterFunc(ctx, func() { _ = channel.Close() })() // ends ReceiveTimeout
	asked := false
	for {
		received, err := channel.ReceiveTimeout(ctx, subscriptionCheck)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			if asked {
				return errNoPong
			}
			if err := channel.Ping(ctx); err != nil {
				return err
			}
			asked = true
			continue
		}
		if err != nil {
			return err
		}
		asked = false
		switch received := received.(type) {
		case *redis.Subscription:
			s.subscription.report(nil)
			select {
			case subscribed <- struct{}{}:
			default: // a poll is due already
			}
		case *redis.Message:
			select {
			case messages <- received.Payload:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}
