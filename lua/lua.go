// Package lua holds the scripts that run the gateway's steps on Redis. Each
// script runs atomically, on keys of one slot. It has the name of the method that
// it implements, in snake case.
//
// A script starts with a header that lists its KEYS, its ARGV and every reply. The
// first element of a reply is a session.Code. Code that several scripts share is
// in include/, and is inserted where a script names it, because Redis needs each
// script as one text.
package lua

import (
	"embed"
	"regexp"
)

//go:embed *.lua include/*.lua
var files embed.FS

// Script is one script, ready for EVAL.
type Script struct {
	Name string // the file's name without ".lua"
	Text string // the file's text with all includes inserted
}

// The scripts of the methods of session.Store.
var (
	Create       = script("create")
	Refresh      = script("refresh")
	List         = script("list")
	Revoke       = script("revoke")
	RevokeOthers = script("revoke_others")
	Logout       = script("logout")
	CheckToken   = script("check_token")
	Live         = script("live")
	Tombstones   = script("tombstones")
	RevokeApp    = script("revoke_app") // for one bucket
	Ready        = script("ready")
)

// Two scripts that are not steps: Probe tests whether Redis runs the commands of the
// others, and Heartbeat whether it takes writes and has replicas that confirm them.
var (
	Probe     = script("probe")
	Heartbeat = script("heartbeat")
)

// The scripts of the methods of session.Directory, and of the reservation of
// usernames. They share no code with the others.
var (
	PutAccount      = script("put_account")
	RemoveAccount   = script("remove_account")
	NextID          = script("next_id")
	ReserveUsername = script("reserve_username")
	ConfirmUsername = script("confirm_username")
	ReleaseUsername = script("release_username")
)

// The scripts of the methods of session.Limiter. A method runs one for each of its budgets.
var (
	ReserveFailure = script("reserve_failure")
	ReleaseFailure = script("release_failure")
	EndFailures    = script("end_failures")
	ReserveRate    = script("reserve_rate")
	ReleaseRate    = script("release_rate")
)

// include matches the line that an included file replaces, at any indentation. A
// file that is included in a branch costs the other branches nothing.
var include = regexp.MustCompile(`(?m)^ *-- include ([a-z_]+)\n`)

func script(name string) Script {
	text := include.ReplaceAllStringFunc(read(name), func(line string) string {
		return read("include/" + include.FindStringSubmatch(line)[1])
	})
	return Script{name, text}
}

func read(name string) string {
	text, err := files.ReadFile(name + ".lua")
	if err != nil {
		panic(err) // a mistake in the lists above or in a script: the file does not exist
	}
	return string(text)
}
