package redisstore

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOutageIsLimited checks that a failure that lasts, or comes again and again, is logged
// once a minute, and its end once for each of these lines.
func TestOutageIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		o := outage{logger: slog.New(slog.NewTextHandler(&log, nil)), failed: "it failed", over: "it works"}
		check := func(what string, failed, over int) {
			t.Helper()
			if got := []int{strings.Count(log.String(), "it failed"), strings.Count(log.String(), "it works")}; got[0] != failed || got[1] != over {
				t.Errorf("%s: got %d failures and %d ends, want %d and %d", what, got[0], got[1], failed, over)
			}
		}
		o.report(nil)
		check("no failure", 0, 0)
		for range 50 {
			o.report(errors.New("refused"))
			time.Sleep(time.Second)
			o.report(nil)
		}
		check("50 failures in 50 s", 1, 1)
		time.Sleep(outageInterval)
		for range 3 {
			o.report(errors.New("refused"))
		}
		check("a failure later", 2, 1)
		time.Sleep(outageInterval)
		o.report(errors.New("refused"))
		check("it lasts", 3, 1)
		o.report(errors.New("closed"))
		check("another cause at once", 3, 1)
		time.Sleep(outageChange)
		o.report(errors.New("closed"))
		check("another cause", 4, 1)
		o.report(nil)
		check("it is over", 4, 2)
	})
}
