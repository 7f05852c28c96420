// Package lua holds the scripts that are the gateway's steps on Redis: each
// runs whole or not at all, on keys of one slot.
//
// A script begins with a header that says its KEYS, its ARGV and every reply it
// gives; the first element of a reply is a session.Code. lib.lua stands before
// each of them, change.lua before those that change something.
package lua

import _ "embed" // the scripts are files of their own, so that they can be read as Lua

var (
	//go:embed lib.lua
	lib string
	//go:embed change.lua
	change string

	//go:embed create.lua
	create string
	//go:embed refresh.lua
	refresh string
	//go:embed list.lua
	list string
	//go:embed end.lua
	end string
	//go:embed others.lua
	others string
	//go:embed logout.lua
	logout string
	//go:embed live.lua
	live string
	//go:embed epoch.lua
	epoch string
)

// Script is one step, ready for EVAL: its own text after what it shares.
type Script struct {
	Name string // its file without ".lua"
	Text string
}

// The steps of session.Store and session.Ledger.
func Create() Script  { return changing("create", create) }
func Refresh() Script { return changing("refresh", refresh) }
func List() Script    { return reading("list", list) }
func End() Script     { return changing("end", end) }
func Others() Script  { return changing("others", others) }
func Logout() Script  { return changing("logout", logout) }
func Live() Script    { return reading("live", live) }
func Epoch() Script   { return changing("epoch", epoch) }

func reading(name, text string) Script  { return Script{name, lib + text} }
func changing(name, text string) Script { return Script{name, lib + change + text} }
