// Package e2e tests the whole program: gateways as processes, over real Redis servers,
// with real clients. It covers what no single package can test: session limits and
// rotation across gateways, the keys that remain in Redis, a Django resource app that
// verifies access tokens by itself, HAProxy in front of three gateways, shutdown without
// lost requests, the commands, the log, and the recorded answers of the Django app.
//
// The tests need redis-server, haproxy, PostgreSQL, pgbouncer, libfaketime, and /usr/bin/python3 with
// Django, Django REST framework and simplejwt.
//
// TOKENGATE_ROUNDS sets the number of rounds of each race test. The default is small,
// so that the tests can run with every change. TOKENGATE_FULL=1 selects the full sizes of the
// tests of login limits, which take about six minutes.
package e2e
