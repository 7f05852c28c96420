package main

import (
	"context"
	"fmt"
	"time"
)

// latencyClients is the number of clients that refresh while something else goes
// on. It is low enough that they wait for the servers and not for each other.
const latencyClients = 8

// refreshLatency measures the latency of refreshes while many users log in, and
// while a million sessions expire (P7).
func (b *bench) refreshLatency(ctx context.Context) error {
	if err := b.refreshDuringLogins(ctx); err != nil {
		return err
	}
	b.reset()
	return b.refreshDuringExpiry(ctx)
}

// refreshDuringLogins runs refreshes alone and together with logins, in turn.
func (b *bench) refreshDuringLogins(ctx context.Context) error {
	const loginClients = 16
	r, g, err := b.startServers(ctx, oneServer, "")
	if err != nil {
		return err
	}
	refreshing := b.virtualUsers(g, latencyClients, cheapUsername)
	loggingIn := b.virtualUsers(g, loginClients, expensiveUsername)
	monitor := []monitored{g.monitored(), r.monitored(), loadGenerator}
	var p50s, p99s, rates []float64
	var alone, loaded result
	for range b.rounds {
		if alone, err = b.record(ctx, load{name: "refreshes alone", op: "refresh", users: refreshing, duration: b.run, monitor: monitor}); err != nil {
			return err
		}
		rate, err := b.whileLoggingIn(ctx, loggingIn, func() (err error) {
			loaded, err = b.record(ctx, load{name: "during logins", op: "refresh", users: refreshing, duration: b.run, monitor: monitor})
			return err
		})
		if err != nil {
			return err
		}
		p50s, p99s, rates = append(p50s, loaded.P50/alone.P50), append(p99s, loaded.P99/alone.P99), append(rates, rate)
	}
	b.addFinding("P7", "refresh p99 during many logins with argon2id ≤ 2 ×", fmt.Sprintf("%.2f × (p50 %.2f ×)", median(p99s), median(p50s)), median(p99s) <= 2)
	b.addNote("P7, %d clients refresh, %d log in without pause: %.0f logins/s (argon2id, 19 MiB, 2 passes); refreshes of the last round: alone %.0f/s, p50 %.2f, p99 %.2f ms; during the logins %.0f/s, p50 %.2f, p99 %.2f ms",
		latencyClients, loginClients, median(rates), alone.PerSecond, alone.P50, alone.P99, loaded.PerSecond, loaded.P50, loaded.P99)
	return nil
}

// whileLoggingIn calls work while users log in without pause. It returns the
// number of logins per second.
func (b *bench) whileLoggingIn(ctx context.Context, users []*virtualUser, work func() error) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	var logins result
	var loginErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		logins, loginErr = load{name: "logins", op: "login", users: users, duration: maxDuration, allowBusy: true}.run(ctx)
	}()
	time.Sleep(b.warmUp) // meanwhile load.run prepares the users with a first login each
	err := work()
	cancel()
	<-done
	b.Results = append(b.Results, logins)
	if err == nil {
		err = loginErr
	}
	return logins.PerSecond, err
}

// refreshDuringExpiry runs refreshes before and during a period in which very
// many sessions expire at a constant rate.
func (b *bench) refreshDuringExpiry(ctx context.Context) error {
	r, g, err := b.startServers(ctx, oneServer, "")
	if err != nil {
		return err
	}
	before := b.expiryPeriod / 3
	creation := time.Duration(b.expiringSessions) * 60 * time.Microsecond // an upper bound
	start := time.Now().Add(creation + before + 10*time.Second).Truncate(time.Second)
	b.logf("  %d sessions that expire within %s", b.expiringSessions, b.expiryPeriod)
	users := usersWith(b.expiringSessions)
	_, err = createSessions(ctx, r.url, sessionSet{firstUser: 2 * cheapUsers, users: users, perUser: oneToFive, expires: func(user int) time.Time {
		return start.Add(b.expiryPeriod / time.Duration(1000) * time.Duration(user*1000/users))
	}})
	if err != nil {
		return err
	}
	if late := time.Since(start.Add(-before)); late > 0 {
		return fmt.Errorf("creating the sessions took %s too long", late)
	}
	return b.measureDuringExpiry(ctx, r, g, start)
}

// measureDuringExpiry runs refreshes before and after start, the time at which the
// first sessions expire.
func (b *bench) measureDuringExpiry(ctx context.Context, r *server, g *process, start time.Time) error {
	users := b.virtualUsers(g, latencyClients, cheapUsername)
	monitor := []monitored{g.monitored(), r.monitored(), loadGenerator}
	refreshFrom := func(name string, from time.Time, duration time.Duration) (result, error) {
		select {
		case <-time.After(time.Until(from)):
		case <-ctx.Done():
			return result{}, ctx.Err()
		}
		return b.record(ctx, load{name: name, op: "refresh", users: users, duration: duration, monitor: monitor})
	}
	before, err := refreshFrom("before", start.Add(-b.expiryPeriod/3-time.Second), b.expiryPeriod/3)
	if err != nil {
		return err
	}
	expiredBefore, err := r.info(ctx, "stats", "expired_keys")
	if err != nil {
		return err
	}
	during, err := refreshFrom("expiring", start, b.expiryPeriod)
	if err != nil {
		return err
	}
	expiredAfter, err := r.info(ctx, "stats", "expired_keys")
	if err != nil {
		return err
	}
	p50, p99 := during.P50/before.P50, during.P99/before.P99
	b.addFinding("P7", fmt.Sprintf("refresh during %s expiries within %s, `deploy/redis.conf`: p50 ≤ 1.3 ×, p99 ≤ 5 ×", formatCount(b.expiringSessions), b.expiryPeriod),
		fmt.Sprintf("p50 %.2f ×, p99 %.2f ×", p50, p99), p50 <= 1.3 && p99 <= 5)
	b.addNote("P7, %d clients refresh, %.0f keys expire meanwhile: before %.0f/s, p50 %.2f, p99 %.2f, p999 %.2f ms; during %.0f/s, p50 %.2f, p99 %.2f, p999 %.2f ms",
		latencyClients, expiredAfter-expiredBefore, before.PerSecond, before.P50, before.P99, before.P999, during.PerSecond, during.P50, during.P99, during.P999)
	return nil
}
