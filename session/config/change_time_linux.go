package config

import (
	"os"
	"syscall"
	"time"
)

// changeTime returns when the content, the owner or the permissions of a file were changed
// last. Unlike the modification time, no program can set it.
func changeTime(info os.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return time.Time{}
}
