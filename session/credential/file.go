package credential

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"tokengate/session"
)

// A user file is looked at when it is used, and not more often than lookEvery.
// What the file system says of it is believed once its last change is older
// than settle: within one tick of the file system's clock, a second change
// leaves no trace but the content.
const (
	lookEvery = time.Second
	settle    = 2 * time.Second
)

// file is a user file. When it changes it is read again; a version that can't
// be read leaves the one before it in force.
type file struct {
	path   string
	log    *slog.Logger
	decoys *decoys
	now    func() time.Time

	mu      sync.Mutex
	looked  time.Time
	stat    os.FileInfo // nil: must be read
	sum     [sha256.Size]byte
	users   *roster
	trouble string // the complaint last logged, so that it is logged once
}

func openFile(path string, o Options) (*Source, error) {
	if path == "" {
		return nil, errors.New("USERS is file: without a path: give file:PATH")
	}
	p := o.passwords(usualHere())
	f := &file{path: path, log: o.Log, decoys: p.decoys, now: time.Now}
	f.looked = f.now()
	if err := f.read(); err != nil {
		return nil, fmt.Errorf("USERS is file:%s: %w", path, err)
	}
	p.accounts = f
	return o.source(p), nil
}

func (f *file) find(ctx context.Context, username string) (session.Account, error) {
	return f.current().find(ctx, username)
}

func (f *file) recheck(ctx context.Context, id session.UserID) error {
	return f.current().recheck(ctx, id)
}

// current is the users in force. Whoever comes while the file is being read
// waits for that: a user who was disabled long ago must not slip in beside it.
func (f *file) current() *roster {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= lookEvery {
		f.looked = now
		f.report(f.read())
	}
	return f.users
}

// report logs what is new about the file's state: once when it breaks and once
// when it is mended, however often it is looked at in between.
func (f *file) report(err error) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	switch {
	case trouble == f.trouble:
	case trouble != "":
		f.log.Error("user file: the last good version stays in force", "path", f.path, "error", trouble)
	default:
		f.log.Info("user file: in order again", "path", f.path)
	}
	f.trouble = trouble
}

// read takes the file over if it has changed.
func (f *file) read() error {
	stat, err := os.Stat(f.path)
	if err != nil {
		f.stat = nil
		return err
	}
	if f.stat != nil && os.SameFile(stat, f.stat) && stat.ModTime().Equal(f.stat.ModTime()) && stat.Size() == f.stat.Size() {
		return f.standing()
	}
	f.stat = nil
	data, err := readPlain(f.path, stat)
	if err != nil {
		return err
	}
	if f.now().Sub(stat.ModTime()) >= settle {
		f.stat = stat
	}
	return f.take(data)
}

// standing is what there was to say of the version that is still there: a
// broken one is not read again each second, nor forgotten.
func (f *file) standing() error {
	if f.trouble != "" {
		return errors.New(f.trouble)
	}
	return nil
}

// take puts a version in force. The same content again says what it said.
func (f *file) take(data []byte) error {
	sum := sha256.Sum256(data)
	if sum == f.sum && f.users != nil {
		return nil
	}
	list, err := parseUsers(data)
	if err != nil {
		return err
	}
	if f.users != nil {
		f.log.Info("user file: read again", "path", f.path, "users", len(list))
	}
	f.sum, f.users = sum, newRoster(list)
	f.decoys.learnAll(list)
	return nil
}

// readPlain reads a plain file, never a pipe or a device, which may have no
// end.
func readPlain(path string, stat os.FileInfo) ([]byte, error) {
	if !stat.Mode().IsRegular() {
		return nil, errors.New("it is not a plain file")
	}
	in, err := os.Open(path) //nolint:gosec // the operator's own setting
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	return io.ReadAll(io.LimitReader(in, maxFile+1))
}
