// Package lua holds the scripts that are the gateway's steps on Redis: each
// runs whole or not at all, on keys of one slot.
//
// A script begins with a header that says its KEYS, its ARGV and every reply it
// gives; the first element of a reply is a session.Code. What several share is
// put before them, so that each is one text to Redis.
package lua

import "embed"

//go:embed *.lua
var files embed.FS

// Script is one step, ready for EVAL: its own text after what it shares.
type Script struct {
	Name string // its file without ".lua"
	Text string
}

// The steps of session.Store.
var (
	Create  = script("lib", "change", "recency", "create")
	Refresh = script("lib", "change", "refresh")
	List    = script("lib", "find", "list")
	End     = script("lib", "find", "change", "end")
	Others  = script("lib", "find", "change", "others")
	Logout  = script("lib", "change", "logout")
)

// The steps of session.Ledger.
var (
	Live   = script("lib", "find", "live")
	Traces = script("lib", "traces")
	Epoch  = script("lib", "change", "epoch")
)

// The steps of session.Directory, which share nothing with the others.
var (
	Claim   = script("claim")
	Confirm = script("confirm")
	Release = script("release")
	Put     = script("put")
	Remove  = script("remove")
)

// script joins files; the last is the script's own, the others are shared.
func script(names ...string) (s Script) {
	for _, name := range names {
		text, err := files.ReadFile(name + ".lua")
		if err != nil {
			panic(err) // no such file: a slip in the tables above
		}
		s.Name, s.Text = name, s.Text+string(text)
	}
	return s
}
