package users

import (
	"strings"
	"testing"

	"tokengate/session/password"
)

func TestOpenErrors(t *testing.T) {
	const secret = "Tr0ub4dor"
	queue := password.NewQueue(1, 0, nil)
	for _, c := range []struct {
		spec string
		o    Options
		want string
	}{
		{"", Options{DummyKey: testKey, Queue: queue}, "unknown form"},
		{"users.json", Options{DummyKey: testKey, Queue: queue}, "unknown form"},
		{"mysql://u:" + secret + "@h/d", Options{DummyKey: testKey, Queue: queue}, "unknown form"},
		{"file:", Options{DummyKey: testKey, Queue: queue}, "without a path"},
		{"file:/no/such/file", Options{DummyKey: testKey, Queue: queue}, "no such file"},
		{"file:/dev/zero", Options{DummyKey: testKey, Queue: queue}, "not a regular file"},
		{"file:users.json", Options{DummyKey: testKey}, "Queue is required"},
		{"file:users.json", Options{Queue: queue}, "DummyKey is required"},
		{"redis:", Options{Queue: queue, DummyKey: testKey[:15]}, "DummyKey is required"},
		{"postgres://u:" + secret + "@h/d", Options{Queue: queue}, "DummyKey is required"},
		{"file:users.json", Options{DummyKey: testKey, Queue: queue, Query: "select $1"}, "for postgres:// only"},
		{"redis:", Options{DummyKey: testKey, Queue: queue}, "requires Options.Directory and App"},
		{"redis://:" + secret + "@h:6379", Options{DummyKey: testKey, Queue: queue}, "give redis: alone"},
		{"https:/verify", Options{}, "not a valid http(s) URL"},
		{"https://u:" + secret + "%zz@h/verify", Options{}, "not a valid http(s) URL"},
		{"postgres://u:" + secret + "/x@h/d", Options{DummyKey: testKey, Queue: queue}, "not a valid postgres URL"},
		{"postgres://u:" + secret + "@h/d?sslpassword=" + secret + "%zz", Options{DummyKey: testKey, Queue: queue}, "not a valid postgres URL"},
		{"postgres://u:" + secret + "@h/d?sslmode=perhaps", Options{DummyKey: testKey, Queue: queue}, "sslmode is invalid"},
		{"postgres://u:" + secret + "@h:99999/d", Options{DummyKey: testKey, Queue: queue}, "check the host, the port"},
		{"postgres://u:" + secret + "@h/d?pool_max_conns=none", Options{DummyKey: testKey, Queue: queue}, "invalid settings"},
		{"file:users.json", Options{DummyKey: testKey, Queue: queue, EndOnChange: true}, "App is required with EndOnChange"},
		{"postgres://u:" + secret + "@h/d", Options{DummyKey: testKey, Queue: queue, EndOnChange: true}, "App is required with EndOnChange"},
		{"postgres://u:" + secret + "@h/d", Options{DummyKey: testKey, Queue: queue, Query: "select 1"}, "USERS_QUERY does not contain $1"},
		{"postgres://u:" + secret + "@h/d", Options{DummyKey: testKey, Queue: queue, RecheckQuery: "select 1"}, "USERS_RECHECK_QUERY does not contain $1"},
	} {
		source, err := Open(t.Context(), c.spec, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, error %v, want one with %q", c.spec, source, err, c.want)
		} else if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "@h/") {
			t.Errorf("error %q contains a part of the address", err)
		}
	}
}
