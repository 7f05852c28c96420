// Package lua holds the scripts that are the gateway's steps on Redis: each
// runs whole or not at all, on keys of one slot.
//
// A script begins with a header that says its KEYS, its ARGV and every reply it
// gives; the first element of a reply is a session.Code. lib.lua stands before
// those about sessions, then change.lua before those that change something.
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
	Create  = changing("create")
	Refresh = changing("refresh")
	List    = reading("list")
	End     = changing("end")
	Others  = changing("others")
	Logout  = changing("logout")
)

// The steps of session.Ledger.
var (
	Live   = reading("live")
	Traces = reading("traces")
	Epoch  = changing("epoch")
)

// The steps of session.Directory, which share nothing with the others.
var (
	Claim   = Script{"claim", text("claim")}
	Confirm = Script{"confirm", text("confirm")}
	Release = Script{"release", text("release")}
	Put     = Script{"put", text("put")}
	Remove  = Script{"remove", text("remove")}
)

func reading(name string) Script  { return Script{name, text("lib") + text(name)} }
func changing(name string) Script { return Script{name, text("lib") + text("change") + text(name)} }

func text(name string) string {
	b, err := files.ReadFile(name + ".lua")
	if err != nil {
		panic(err) // a name in this file that is not a file's
	}
	return string(b)
}
