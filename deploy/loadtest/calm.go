package main

import (
	"context"
	"fmt"
	"time"
)

// calmClients is how many clients refresh while something else goes on: few
// enough that they wait for the servers and not for each other.
const calmClients = 8

// calm is what a refresh feels of a storm of logins, and of a million sessions
// that expire.
func (b *bench) calm(ctx context.Context) error {
	if err := b.storm(ctx); err != nil {
		return err
	}
	b.reset()
	return b.expiries(ctx)
}

// storm runs refreshes alone and beside logins in turn.
func (b *bench) storm(ctx context.Context) error {
	const stormClients = 16
	r, err := b.redis(ctx, true)
	if err != nil {
		return err
	}
	g, err := b.gateway(ctx, r.url)
	if err != nil {
		return err
	}
	refreshing := b.visitors(g, calmClients, cheapLogin)
	storming := b.visitors(g, stormClients, dearLogin)
	watch := []watched{g.watched(), r.watched(), loadgen}
	var p50s, p99s, logins []float64
	var calm, stormy result
	for range b.rounds {
		if calm, err = b.loaded(ctx, load{name: "calm", op: "refresh", visitors: refreshing, time: b.run, watch: watch}); err != nil {
			return err
		}
		rate, err := b.beside(ctx, storming, func() (err error) {
			stormy, err = b.loaded(ctx, load{name: "storm", op: "refresh", visitors: refreshing, time: b.run, watch: watch})
			return err
		})
		if err != nil {
			return err
		}
		p50s, p99s, logins = append(p50s, stormy.P50/calm.P50), append(p99s, stormy.P99/calm.P99), append(logins, rate)
	}
	b.find("P7", "refresh p99 during a storm of logins with argon2id ≤ 2 ×", fmt.Sprintf("%.2f × (p50 %.2f ×)", median(p99s), median(p50s)), median(p99s) <= 2)
	b.note("P7, %d clients refresh, %d log in without pause: %.0f logins/s (argon2id, 19 MiB, 2 passes); the last round's refreshes: calm %.0f/s, p50 %.2f, p99 %.2f ms; storm %.0f/s, p50 %.2f, p99 %.2f ms",
		calmClients, stormClients, median(logins), calm.PerSecond, calm.P50, calm.P99, stormy.PerSecond, stormy.P50, stormy.P99)
	return nil
}

// beside runs work while visitors log in without pause, and gives how many
// logins a second there were.
func (b *bench) beside(ctx context.Context, visitors []*visitor, work func() error) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	var storm result
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		storm, failed = load{name: "logins", op: "login", visitors: visitors, time: maxTime, storm: true}.run(ctx)
	}()
	time.Sleep(b.warm) // the first logins prepare the visitors
	err := work()
	cancel()
	<-done
	b.Results = append(b.Results, storm)
	if err == nil {
		err = failed
	}
	return storm.PerSecond, err
}

// expiries runs refreshes before and during a time in which very many sessions
// expire, evenly.
func (b *bench) expiries(ctx context.Context) error {
	r, err := b.redis(ctx, true)
	if err != nil {
		return err
	}
	g, err := b.gateway(ctx, r.url)
	if err != nil {
		return err
	}
	before := b.expiry / 3
	filling := time.Duration(b.expiring) * 60 * time.Microsecond // at most
	begin := time.Now().Add(filling + before + 10*time.Second).Truncate(time.Second)
	b.say("  %d sessions that expire within %s", b.expiring, b.expiry)
	users := usersFor(b.expiring)
	_, err = fill(ctx, r.url, plan{first: 2 * labUsers, users: users, each: oneToFive, until: func(user int) time.Time {
		return begin.Add(b.expiry / time.Duration(1000) * time.Duration(user*1000/users))
	}})
	if err != nil {
		return err
	}
	if late := time.Since(begin.Add(-before)); late > 0 {
		return fmt.Errorf("making the sessions took %s too long", late)
	}
	return b.duringExpiries(ctx, r, g, begin)
}

func (b *bench) duringExpiries(ctx context.Context, r *server, g *process, begin time.Time) error {
	visitors := b.visitors(g, calmClients, cheapLogin)
	watch := []watched{g.watched(), r.watched(), loadgen}
	one := func(name string, from time.Time, length time.Duration) (result, error) {
		select {
		case <-time.After(time.Until(from)):
		case <-ctx.Done():
			return result{}, ctx.Err()
		}
		return b.loaded(ctx, load{name: name, op: "refresh", visitors: visitors, time: length, watch: watch})
	}
	calm, err := one("before", begin.Add(-b.expiry/3-time.Second), b.expiry/3)
	if err != nil {
		return err
	}
	had, err := r.info(ctx, "stats", "expired_keys")
	if err != nil {
		return err
	}
	during, err := one("expiring", begin, b.expiry)
	if err != nil {
		return err
	}
	has, err := r.info(ctx, "stats", "expired_keys")
	if err != nil {
		return err
	}
	p50, p99 := during.P50/calm.P50, during.P99/calm.P99
	b.find("P7", fmt.Sprintf("refresh during %s expiries within %s, our redis.conf: p50 ≤ 1.3 ×, p99 ≤ 5 ×", count(b.expiring), b.expiry),
		fmt.Sprintf("p50 %.2f ×, p99 %.2f ×", p50, p99), p50 <= 1.3 && p99 <= 5)
	b.note("P7, %d clients refresh, %.0f keys expire meanwhile: before %.0f/s, p50 %.2f, p99 %.2f, p999 %.2f ms; during %.0f/s, p50 %.2f, p99 %.2f, p999 %.2f ms",
		calmClients, has-had, calm.PerSecond, calm.P50, calm.P99, calm.P999, during.PerSecond, during.P50, during.P99, during.P999)
	return nil
}
