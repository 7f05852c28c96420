package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"tokengate/redisstore"
)

// TestInvalidOptions checks that an error names the invalid option.
func TestInvalidOptions(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*redisstore.Options)
	}{
		{"PREFIX", func(o *redisstore.Options) { o.Prefix = "a|b" }},
		{"PREFIX", func(o *redisstore.Options) { o.Prefix = "" }},
		{"WAIT_REPLICAS is", func(o *redisstore.Options) { o.WaitReplicas = -1 }},
		{"WAIT_TIMEOUT is", func(o *redisstore.Options) { o.WaitReplicas, o.WaitTimeout = 1, 0 }},
		{"WAIT_TIMEOUT is", func(o *redisstore.Options) { o.WaitReplicas, o.WaitTimeout = 1, time.Minute }},
		{"Retention", func(o *redisstore.Options) { o.Retention = 0 }},
		{"PollInterval", func(o *redisstore.Options) { o.PollInterval = 0 }},
	} {
		o := redisstore.Defaults()
		o.URL = "redis://localhost"
		c.change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
}
