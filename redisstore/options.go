package redisstore

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"tokengate/session"
)

// Options is what a Store is made of. The fields with an env tag are settings;
// the others are for main and for tests. Begin with Defaults.
type Options struct {
	URL          string        `env:"URL" secret:"true" desc:"redis://, rediss://, unix://, redis+sentinel://h1,h2/MASTER?db=0, redis+cluster://h1,h2 (rediss+… for TLS); empty: sessions in memory"`
	Prefix       string        `env:"PREFIX" desc:"first part of every key and channel"`
	WaitReplicas int           `env:"WAIT_REPLICAS" desc:"an ending, a rotation or a change of a user is durable only when that many replicas have it"`
	WaitTimeout  time.Duration `env:"WAIT_TIMEOUT" desc:"longest wait for them"`

	TraceLife time.Duration // how long a user's endings are remembered after the last
	Horizon   time.Duration // how long the outbox keeps an ending: at least the longest access-token life
	EpochLife time.Duration // how long EndApp is remembered: at least the longest absolute lifetime
	Sweep     time.Duration // how often Follow reads the outboxes, which is how fresh it can be sure to be

	// Now, for tests only, is the clock to go by instead of Redis's. It must
	// not be before the real time, or Redis deletes what should live.
	Now func() time.Time
	// Logger, if not nil, is told at debug what the client says for itself. The
	// client has one log per process: the last Store's.
	Logger *slog.Logger
	// Observe, if not nil, is told of every script's run: its word or the code
	// of its failure, and how long it took. It must be quick.
	Observe func(script string, code session.Code, took time.Duration)
}

// Defaults gives the options of a production gateway, without a URL.
func Defaults() Options {
	return Options{
		Prefix:      "tg",
		WaitTimeout: 200 * time.Millisecond,
		TraceLife:   7 * 24 * time.Hour,
		Horizon:     time.Hour,
		EpochLife:   session.MaxAbsoluteLifetime,
		Sweep:       3 * time.Second,
	}
}

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`)

// Validate names the first option that is out of its bounds and what to do.
func (o Options) Validate() error {
	switch {
	case o.URL == "":
		return errors.New("URL is empty: give redis://HOST:PORT")
	case !prefixForm.MatchString(o.Prefix):
		return errors.New("PREFIX: give 1 to 64 letters, digits or characters of ._:/-")
	case o.WaitReplicas < 0:
		return fmt.Errorf("WAIT_REPLICAS is %d: give 0 or more", o.WaitReplicas)
	case o.WaitReplicas > 0 && (o.WaitTimeout < time.Millisecond || o.WaitTimeout > maxWait):
		return fmt.Errorf("WAIT_TIMEOUT is %s: give 1ms to %s", o.WaitTimeout, maxWait)
	case o.TraceLife < time.Second || o.Horizon < time.Second || o.EpochLife < time.Second:
		return errors.New("TraceLife, Horizon and EpochLife must be at least a second")
	case o.Sweep <= 0:
		return errors.New("the time between sweeps must be positive")
	}
	_, err := parseURL(o.URL)
	return err
}

// maxWait keeps WAIT well within the client's read time-out.
const maxWait = 2 * time.Second
