package api_test

import (
	"context"
	"errors"
	"testing"

	"tokengate/api"
)

func TestReadiness(t *testing.T) {
	var redisErr, draining error
	redisChecks := 0
	g := newGateway(t, options{change: func(o *api.Options) {
		o.Draining = func() error { return draining }
		o.Ready = func(context.Context) error { redisChecks++; return redisErr }
	}})
	expect(t, do(g.admin, "GET", "/readyz", ""), 200, `{"status":"ready"}`)
	redisErr = errors.New("redis: not yet reached")
	w := do(g.admin, "GET", "/readyz", "")
	expect(t, w, 503, `{"detail":"redis: not yet reached","code":"not_ready"}`)
	redisChecks = 0
	expect(t, do(g.admin, "GET", "/readyz?exclude=redis", ""), 200, `{"status":"ready"}`)
	if redisChecks != 0 {
		t.Error("Redis was checked although it was excluded")
	}
	draining = errors.New("shutting down")
	for _, path := range []string{"/readyz", "/readyz?exclude=redis"} {
		expect(t, do(g.admin, "GET", path, ""), 503, `{"detail":"shutting down","code":"not_ready"}`)
	}
	expect(t, do(g.admin, "GET", "/healthz", ""), 200, `{"status":"ok"}`)
}
