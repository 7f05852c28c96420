package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tokengate/session"
)

// The calm app's clients. They are few and slow enough that measuring them takes little of
// the machine.
const (
	calmRefreshes = 200 // a second
	calmLogins    = 2   // a second, each on a new connection
	calmTimeout   = 5 * time.Second
	calmRenew     = 25 // of this many refreshes of a client, one is on a new connection
)

// manyNetworks is the number of addresses of an attack from many networks.
const manyNetworks = 300

// filesLimit is the number of open files of a gateway whose connections are attacked.
const filesLimit = 1024

// attackCase is one row: an attack in one or more variants, each of which must meet the target.
type attackCase struct {
	name     string
	files    int // how many files the gateway may open; 0 means no limit
	variants []attackVariant
}

type attackVariant struct {
	name     string
	kind     string
	networks int
}

// underAttack measures the refreshes of an app while another app is attacked (P12).
func (b *bench) underAttack(ctx context.Context) error {
	for _, c := range []attackCase{
		{"300 connections log in without pause", 0, []attackVariant{
			{"wrong passwords", "wrong-passwords", manyNetworks}, {"right passwords", "right-passwords", manyNetworks},
		}},
		{fmt.Sprintf("8 connections list %d sessions with 4 KiB of info", b.listed), 0, []attackVariant{{"lists", "lists", 8}}},
		{fmt.Sprintf("%d sessions are revoked at once, twice a second", b.revokedAtOnce), 0, []attackVariant{
			{"by the user", "user-revokes", 1}, {"by the operator", "admin-revokes", 1},
		}},
		{fmt.Sprintf("1,100 idle connections, the gateway has %d files", filesLimit), filesLimit, []attackVariant{
			{"from one address", "idle", 1}, {"from 300 addresses", "idle", manyNetworks},
		}},
		{fmt.Sprintf("1,100 slow connections, the gateway has %d files", filesLimit), filesLimit, []attackVariant{
			{"from one address", "slow", 1}, {"from 300 addresses", "slow", manyNetworks},
		}},
	} {
		if err := b.measureAttack(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		b.reset()
	}
	return nil
}

// measureAttack measures the variants of an attack, each on servers of its own.
func (b *bench) measureAttack(ctx context.Context, c attackCase) error {
	var measured []string
	met := true
	for _, v := range c.variants {
		b.logf("  %s, %s", c.name, v.name)
		f, err := b.measureVariant(ctx, c, v)
		if err != nil {
			return err
		}
		b.addNote("P12, %s, %s: refreshes calm p50 %.2f, p99 %.2f ms, under attack p50 %.2f, p99 %.2f ms (p99 %.2f ×); logins p50 %.0f → %.0f ms; failed of %d: calm %s, under attack %s; answers to the attack: %s",
			c.name, v.name, f.calm.P50, f.calm.P99, f.attacked.P50, f.attacked.P99, f.ratio, f.loginCalm, f.loginAttacked,
			f.requests, formatCounts(f.calm.Faults), formatCounts(f.attacked.Faults), formatCounts(f.answers))
		failed := 0
		for _, n := range f.attacked.Faults {
			failed += n
		}
		measured = append(measured, fmt.Sprintf("%s: %.2f ×, %d of %d failed", v.name, f.ratio, failed, f.requests))
		met = met && f.ratio <= 2 && failed == 0
		b.reset()
	}
	b.addFinding("P12", "another app's refresh p99 ≤ 2 × and no request failed while "+c.name,
		strings.Join(measured, "; "), met)
	return nil
}

// attackFigures are the figures of a variant: medians of all rounds, and sums.
type attackFigures struct {
	calm, attacked           result // with P50, P99 and Faults only
	ratio                    float64
	loginCalm, loginAttacked float64
	requests                 int            // of the calm app, under attack; calm there are as many
	answers                  map[string]int // to the attack
}

// measureVariant measures calm and attack in turns.
func (b *bench) measureVariant(ctx context.Context, c attackCase, v attackVariant) (attackFigures, error) {
	r, g, err := b.startAttacked(ctx, c.files)
	if err != nil {
		return attackFigures{}, err
	}
	a := attack{kind: v.kind, address: g.address, admin: g.admin, networks: v.networks, users: 1, pause: time.Second / 2}
	revokes := strings.HasSuffix(v.kind, "-revokes")
	if revokes {
		a.users = int(b.run/a.pause) + 1 // each once, while the refreshes are measured
	}
	if err := b.seedAttacked(ctx, r, &a); err != nil {
		return attackFigures{}, err
	}
	clients := b.newCalmClients(g, []monitored{g.monitored(), r.monitored(), loadGenerator})
	f := attackFigures{calm: result{Faults: map[string]int{}}, attacked: result{Faults: map[string]int{}}, answers: map[string]int{}}
	var calm, attacked, loginsCalm, loginsAttacked []result
	for round := range b.rounds {
		if err := clients.prepare(ctx); err != nil {
			return f, err
		}
		refreshes, logins := clients.measure(ctx, b, "calm")
		calm, loginsCalm = append(calm, refreshes), append(loginsCalm, logins)
		addCounts(f.calm.Faults, refreshes.Faults)
		addCounts(f.calm.Faults, logins.Faults)
		if revokes {
			a.first = round * a.users
		}
		running, err := a.start(ctx)
		if err != nil {
			return f, err
		}
		if !revokes { // these are soon over
			time.Sleep(b.warmUp)
		}
		refreshes, logins = clients.measure(ctx, b, "under attack")
		attacked, loginsAttacked = append(attacked, refreshes), append(loginsAttacked, logins)
		answers, err := running.stop()
		if err != nil {
			return f, err
		}
		f.requests += refreshes.Requests + logins.Requests
		addCounts(f.attacked.Faults, refreshes.Faults)
		addCounts(f.attacked.Faults, logins.Faults)
		addCounts(f.answers, answers)
	}
	var ratios []float64
	for i := range calm {
		ratios = append(ratios, attacked[i].P99/calm[i].P99)
	}
	f.ratio = median(ratios)
	f.calm.P50, f.calm.P99, f.attacked.P50, f.attacked.P99 = medianOf(calm, p50), medianOf(calm, p99), medianOf(attacked, p50), medianOf(attacked, p99)
	f.loginCalm, f.loginAttacked = medianOf(loginsCalm, p50), medianOf(loginsAttacked, p50)
	return f, nil
}

// startAttacked starts a Redis server and a gateway with two apps, each with users of its
// own.
func (b *bench) startAttacked(ctx context.Context, files int) (*server, *process, error) {
	r, err := b.startRedis(ctx, oneServer)
	if err != nil {
		return nil, nil, err
	}
	users := filepath.Join(b.dir, "attacked.json")
	if err := writeUsers(users); err != nil {
		return nil, nil, err
	}
	argv := []string{b.gatewayPath, "serve"}
	if files > 0 {
		argv = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, files), "sh"}, argv...)
	}
	g, ready, err := b.launch(argv, r.url, "APPS="+testApp+","+attackedApp, "ADMIN_TOKEN="+adminToken,
		"APP_ATTACKED_SECRET_KEY="+attackedSecret, "APP_ATTACKED_SIGNING_KEY="+attackedKey, "APP_ATTACKED_USERS=file:"+users,
		"APP_ATTACKED_LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS=false")
	if err != nil {
		return nil, nil, err
	}
	return r, g, g.waitReady(ctx, ready)
}

// seedAttacked creates the sessions that an attack needs. Each user will have one more,
// from the login of the attack.
func (b *bench) seedAttacked(ctx context.Context, r *server, a *attack) error {
	set := sessionSet{app: attackedApp, firstUser: 1, users: 1, change: unlimited}
	switch a.kind {
	case "lists":
		set.perUser, set.info = always(b.listed-b.rounds), strings.Repeat("i", session.MaxInfo)
	case "user-revokes", "admin-revokes":
		set.perUser, set.users = always(b.revokedAtOnce-1), a.users*b.rounds
	default:
		return nil
	}
	_, err := createSessions(ctx, r.url, set)
	return err
}

// calmClients are the clients of the app that is not attacked.
type calmClients struct {
	refreshing, loggingIn []*virtualUser
	monitor               []monitored
}

func (b *bench) newCalmClients(g *process, monitor []monitored) *calmClients {
	c := &calmClients{b.virtualUsers(g, latencyClients, cheapUsername), b.virtualUsers(g, latencyClients, expensiveUsername), monitor}
	for _, u := range slices.Concat(c.refreshing, c.loggingIn) {
		u.timeout = calmTimeout
	}
	return c
}

// recoveryTimeout is how long the consequences of an attack may last.
const recoveryTimeout = 30 * time.Second

// prepare waits until the clients are served, and lets each have tokens.
func (c *calmClients) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recoveryTimeout)
	defer cancel()
	for _, u := range slices.Concat(c.refreshing, c.loggingIn) {
		for {
			u.close()
			err := u.doLogin()
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s after the attack: login: %w", recoveryTimeout, err)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return nil
}

// measure lets the clients refresh and log in for the length of a run.
func (c *calmClients) measure(ctx context.Context, b *bench, when string) (refreshes, logins result) {
	_ = runConcurrently(ctx, 2, func(ctx context.Context, i int) error {
		if i == 0 {
			refreshes = steadyLoad{when, "refresh", c.refreshing, calmRefreshes, b.run, calmTimeout, calmRenew, c.monitor}.run(ctx)
		} else {
			logins = steadyLoad{when, "login", c.loggingIn, calmLogins, b.run, calmTimeout, 1, nil}.run(ctx)
		}
		return nil
	})
	b.Results = append(b.Results, refreshes, logins)
	b.logf("    %s: refresh p50 %.2f, p99 %.2f ms, login p50 %.0f ms, failed: %s", when, refreshes.P50, refreshes.P99, logins.P50,
		formatCounts(refreshes.Faults)+" and "+formatCounts(logins.Faults))
	return refreshes, logins
}

func addCounts(to, more map[string]int) {
	for name, n := range more {
		to[name] += n
	}
}

// formatCounts formats counts as "NAME × N, NAME × N", sorted by name.
func formatCounts(counts map[string]int) string {
	if len(counts) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s × %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}
