package redisstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session/storetest"
)

// clock stands still until it is advanced. It is ahead of the real one, as
// Options.Now asks.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Now().Add(time.Hour).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// harness opens stores on one deployment, each under its own prefix.
func harness(url string, change ...func(*redisstore.Options)) func(t *testing.T) storetest.Harness {
	var opened atomic.Int64
	return func(t *testing.T) storetest.Harness {
		c := newClock()
		s := open(t, url, append(change, func(o *redisstore.Options) {
			o.Prefix = fmt.Sprintf("t%d", opened.Add(1))
			o.Now = c.now
			o.Sweep = 100 * time.Millisecond
		})...)
		return storetest.Harness{Store: s, Ledger: s, Directory: s, Feed: s, Advance: c.advance, Clock: c.now}
	}
}

func TestConformanceStandalone(t *testing.T) {
	var heard replies
	open := harness(redistest.Standalone(t).URL, func(o *redisstore.Options) { o.Observe = heard.note })
	storetest.Run(t, open)
	t.Run("Differential", func(t *testing.T) { storetest.Differential(t, open) })
	heard.compare(t)
}

func TestConformancePipelined(t *testing.T) {
	storetest.Run(t, harness(redistest.Standalone(t).URL+"?auto_pipeline=true"))
}

func TestConformanceSentinel(t *testing.T) {
	storetest.Run(t, harness(redistest.Sentinel(t).URL))
}

func TestConformanceCluster(t *testing.T) {
	open := harness(redistest.Cluster(t, 3).URL)
	storetest.Run(t, open)
	t.Run("Differential", func(t *testing.T) { storetest.Differential(t, open) })
}
