package users

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"tokengate/session"
	"tokengate/session/files"
	"tokengate/session/password"
)

// A user file is checked for changes when it is used, at most once per statInterval.
// Size and modification time show a change only if the last modification is older than
// mtimeGranularity: a second change within one tick of the file system's clock may leave
// both as they were. Until then the file is read.
const (
	statInterval     = time.Second
	mtimeGranularity = 2 * time.Second
)

// maxRemoved is the number of removed users of a file whose fingerprints are kept.
const maxRemoved = 200_000

// fileSource is a user file. It is read again when it changes; while a new version can't
// be read, the last valid one stays in use.
type fileSource struct {
	path         string
	log          *slog.Logger
	dummies      *password.DummyHashes
	fingerprints fingerprints
	nearest      func(name string, known []string) string // of Options
	now          func() time.Time

	mu        sync.Mutex
	checkedAt time.Time
	stat      os.FileInfo // nil means that the file must be read
	sum       [sha256.Size]byte
	users     *userList
	removed   *session.Cache[session.Status] // of users whom the file no longer has, by id; without claims
	lastError string                         // the last error, which is logged only once
}

func openFile(path string, o Options) (*Source, error) {
	if path == "" {
		return nil, errors.New("USERS is file: without a path: give file:PATH")
	}
	c := o.newChecker(password.Argon2Dummy())
	f := &fileSource{
		path: path, log: o.Log, dummies: c.dummies, fingerprints: o.fingerprints(), nearest: o.Nearest, now: time.Now,
		removed: session.NewCache[session.Status](maxRemoved),
	}
	f.checkedAt = f.now()
	if o.Previous != nil && o.Previous.file != nil {
		f.takeOver(o.Previous.file)
	}
	if err := f.read(); err != nil {
		return nil, fmt.Errorf("USERS is file:%s: %w", path, err)
	}
	c.accounts = f
	s := o.newSource(c)
	s.file = f
	return s, nil
}

// takeOver makes f compare its users with those of the source that it replaces.
func (f *fileSource) takeOver(previous *fileSource) {
	previous.mu.Lock()
	defer previous.mu.Unlock()
	f.users, f.removed = previous.users, previous.removed
}

func (f *fileSource) find(ctx context.Context, username string) (session.Account, error) {
	return f.current(false).find(ctx, username)
}

func (f *fileSource) recheck(ctx context.Context, id session.UserID, fresh bool) (session.Status, error) {
	return f.current(fresh).recheck(ctx, id, fresh)
}

// current returns the users in use. It checks the file for changes if statInterval has
// passed since the last time, or if fresh is set. While one caller reads the file, the
// others wait for it: a user who was disabled long ago must not pass a check in the
// meantime.
func (f *fileSource) current(fresh bool) *userList {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fresh || f.now().Sub(f.checkedAt) >= statInterval {
		f.check()
	}
	return f.users
}

// refresh checks the file for changes, and returns its error if it can't be used.
func (f *fileSource) refresh() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.check()
	if err := f.previousError(); err != nil {
		return fmt.Errorf("user file %s can't be used: its last valid content stays in use: %w", f.path, err)
	}
	return nil
}

// check reads the file if it has changed, and logs the outcome. The caller holds mu.
func (f *fileSource) check() {
	f.checkedAt = f.now()
	f.report(f.read())
}

// report logs a change of the file's state: once when it becomes invalid and once when it
// is valid again, however often it is checked in between.
func (f *fileSource) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == f.lastError:
	case text != "":
		f.log.Error("user file can't be used: its last valid content stays in use", "path", f.path, "error", text)
	default:
		f.log.Info("user file is valid again", "path", f.path)
	}
	f.lastError = text
}

// read reads the file if it has changed and puts its content into use.
func (f *fileSource) read() error {
	stat, err := os.Stat(f.path)
	if err != nil {
		f.stat = nil
		return err
	}
	if f.stat != nil && os.SameFile(stat, f.stat) && stat.ModTime().Equal(f.stat.ModTime()) && stat.Size() == f.stat.Size() {
		return f.previousError()
	}
	f.stat = nil
	data, stat, err := files.Read(f.path, maxFileSize)
	if err != nil {
		return err
	}
	if f.now().Sub(stat.ModTime()) >= mtimeGranularity {
		f.stat = stat
	}
	return f.apply(data)
}

// previousError returns the last error again, for a file that has not changed: an invalid
// file is not read again each second, and its error must not be lost.
func (f *fileSource) previousError() error {
	if f.lastError != "" {
		return errors.New(f.lastError)
	}
	return nil
}

// apply puts the file's content into use, unless it is the content already in use.
func (f *fileSource) apply(data []byte) error {
	sum := sha256.Sum256(data)
	if sum == f.sum && f.users != nil {
		return nil
	}
	p := newUserParser(data)
	list, err := p.parse()
	if err != nil {
		return err
	}
	for _, m := range p.unknown {
		attrs := []any{"path", f.path, "member", m.name, "users", m.users}
		if f.nearest != nil {
			attrs = append(attrs, "nearest", f.nearest(m.name, userMembers))
		}
		f.log.Warn("user file has a member that has no meaning and is ignored: correct it if it is misspelt", attrs...)
	}
	if f.users != nil {
		f.log.Info("user file was read again", "path", f.path, "users", len(list))
	}
	if len(list) == 0 {
		f.log.Warn("user file has no users: no login succeeds, and a refresh fails as if the user source were not available", "path", f.path)
	}
	next := newUserList(list, f.fingerprints)
	f.recordChanges(next)
	f.sum, f.users = sum, next
	f.dummies.SetAll(list)
	return nil
}

// recordChanges sets Changed of the users in next, which is about to replace the list in
// use: to the present if the credential is another one than before, otherwise to its
// former value. A user who was removed and comes back is compared with what they had
// before, since the id may now be that of another person.
func (f *fileSource) recordChanges(next *userList) {
	if f.users == nil || !f.fingerprints.enabled {
		return
	}
	now := f.now()
	for id, user := range next.byID {
		before, known := f.removed.Get(id)
		if listed, ok := f.users.byID[id]; ok {
			before, known = listed.status, true
		}
		if !known {
			continue
		}
		if user.status.Changed = before.Changed; user.status.Credential != before.Credential {
			user.status.Changed = now.Add(statInterval)
		}
		next.byID[id] = user
	}
	for id, user := range f.users.byID {
		if _, stays := next.byID[id]; !stays {
			f.removed.Put(id, session.Status{Credential: user.status.Credential, Changed: user.status.Changed})
		}
	}
}
