package config

import (
	"maps"
	"os"
)

// Watcher notices changes of files by looking at them from time to time. That works on each
// file system, and also where a folder of links is replaced as a whole, as Kubernetes does
// with mounted secrets. The zero value is ready for use.
type Watcher struct {
	reported, last map[string]fileState
}

// fileState is what shows a change of a file or a folder. The zero value stands for one that
// can't be found.
type fileState struct{ info os.FileInfo }

func (s fileState) equal(other fileState) bool {
	if s.info == nil || other.info == nil {
		return s.info == other.info
	}
	return os.SameFile(s.info, other.info) && s.info.Size() == other.info.Size() &&
		s.info.ModTime().Equal(other.info.ModTime()) && s.info.Mode() == other.info.Mode()
}

// Changed reports whether the files with these paths differ from those of the last call that
// returned true. It returns true only if they are as at the call before, so that a file is not
// read while another program is writing it. So the first two calls return false and true:
// a file may have changed after it was read first.
func (w *Watcher) Changed(paths []string) bool {
	now := map[string]fileState{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		now[path] = fileState{info}
	}
	stable := w.last != nil && maps.EqualFunc(now, w.last, fileState.equal)
	w.last = now
	if !stable || w.reported != nil && maps.EqualFunc(now, w.reported, fileState.equal) {
		return false
	}
	w.reported = now
	return true
}
