package config

import (
	"maps"
	"os"
)

// Watcher notices changes of files by looking at them from time to time. That works on each
// file system, and also where a folder of links is replaced as a whole, as Kubernetes does
// with mounted secrets. The zero value is ready for use.
//
// Only one goroutine may use a Watcher.
type Watcher struct {
	reported, last map[string]fileState
	looks          int // since the files differ from those of reported
}

// maxLooks is how many looks wait for files that change again and again. Meanwhile the
// changes of other files wait too.
const maxLooks = 4

// fileState is what shows a change of a file or a folder. The zero value stands for one that
// can't be found.
type fileState struct{ info os.FileInfo }

func (s fileState) equal(other fileState) bool {
	if s.info == nil || other.info == nil {
		return s.info == other.info
	}
	return os.SameFile(s.info, other.info) && s.info.Size() == other.info.Size() &&
		s.info.ModTime().Equal(other.info.ModTime()) && s.info.Mode() == other.info.Mode() &&
		changeTime(s.info).Equal(changeTime(other.info))
}

// Changed reports whether the files with these paths differ from those of the last call that
// returned true. It waits for a second call in a row that finds the same state, so that no
// file is read while it is being written, but for four calls at most. The first two calls
// return false and true, because a file may have changed after it was read first.
func (w *Watcher) Changed(paths []string) bool {
	now := map[string]fileState{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		now[path] = fileState{info}
	}
	same := func(before map[string]fileState) bool {
		return before != nil && maps.EqualFunc(now, before, fileState.equal)
	}
	stable := same(w.last)
	w.last = now
	if same(w.reported) {
		w.looks = 0
		return false
	}
	if w.looks++; !stable && w.looks < maxLooks {
		return false
	}
	w.reported, w.looks = now, 0
	return true
}
