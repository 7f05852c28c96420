package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"tokengate/session"
	"tokengate/session/config"
)

// watchInterval is how often the files of the settings are looked at. A change is used when
// two looks have found the same.
const watchInterval = 250 * time.Millisecond

// retryInterval is how often the settings are read again while they have a fault: its cause
// may be none of the files, such as too many open files.
const retryInterval = 5 * time.Second

// notifyHangups returns a channel of the signals SIGHUP, if the arguments are those of a
// gateway. It ends other commands, as when a terminal is closed.
func notifyHangups(args []string) <-chan os.Signal {
	hangups := make(chan os.Signal, 1)
	if len(args) == 0 || args[0] == "serve" {
		signal.Notify(hangups, syscall.SIGHUP)
	}
	return hangups
}

// reloadOnChange reads the settings again at each hangup, and when a file of theirs has
// changed, until ctx is done.
func (g *gateway) reloadOnChange(ctx context.Context, hangups <-chan os.Signal) {
	r := reloader{gateway: g, files: g.current.Load().config.Files()}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var watcher config.Watcher
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			g.Log.Info("SIGHUP: reading the settings again")
			r.again = true
			r.reload(ctx)
		case <-ticker.C:
			if watcher.Changed(r.files) || r.faults > 0 && time.Since(r.readAt) >= retryInterval {
				r.reload(ctx)
			}
		}
	}
}

// reloader replaces the snapshot of a gateway. Only one goroutine may use it.
type reloader struct {
	*gateway
	files    []string // those that the latest settings depend on
	reported []string // the faults that the log has
	again    bool     // whether to log these once more
	faults   int      // in the latest settings and user files
	readAt   time.Time
}

// reload reads the settings again and serves with them. Settings with a fault keep their last
// valid values.
func (r *reloader) reload(ctx context.Context) {
	old := r.current.Load()
	c, faults := old.config.Reread()
	r.files = c.Files()
	faults = append(faults, r.replaceRedisURL(c, old.config), r.reloadCertificate())
	tried := c.Redis.URL
	next, more := r.buildValid(ctx, c, old)
	if next.config.Redis.URL != tried { // the process keeps its last valid settings
		faults = append(faults, r.setURL(next.config))
	}
	if next != old {
		r.serve(ctx, next, old)
	}
	r.report(append(faults, more...), next.refreshUsers())
}

// replaceRedisURL gives the store a new URL. If the store can't use it, c keeps the old one.
func (r *reloader) replaceRedisURL(c, old *config.Config) error {
	if c.Redis.URL == old.Redis.URL {
		return nil
	}
	err := r.setURL(c)
	if err != nil {
		c.Redis.URL = old.Redis.URL
	}
	return err
}

func (r *reloader) setURL(c *config.Config) error {
	if err := r.setRedisURL(string(c.Redis.URL)); err != nil {
		return fmt.Errorf("%sREDIS_%w", config.Prefix, err)
	}
	return nil
}

// reloadCertificate reads the certificate of the public listener again, if it has one.
func (r *reloader) reloadCertificate() error {
	if r.certificate == nil {
		return nil
	}
	before := r.certificate.Leaf()
	if err := r.certificate.Reload(); err != nil {
		return fmt.Errorf("%sTLS_%w", config.Prefix, err)
	}
	if leaf := r.certificate.Leaf(); !leaf.Equal(before) {
		r.Log.Info("certificate has changed", "serial", leaf.SerialNumber.Text(16), "expires", leaf.NotAfter)
	}
	return nil
}

// buildValid builds a snapshot. Where that fails, it gives what the error names its last valid
// settings, and tries again. It returns the old snapshot if nothing has changed.
func (r *reloader) buildValid(ctx context.Context, c *config.Config, old *snapshot) (next *snapshot, faults []error) {
	for changed(c, old.config) {
		next, err := r.build(ctx, c, old)
		if err == nil {
			return next, faults
		}
		faults = append(faults, inSettings(c, err))
		if !keepLastValid(c, old.config, err) {
			return old, faults
		}
	}
	return old, faults
}

// keepLastValid gives what an error names the settings of old: the app, or the other one that
// it does not go together with if only that one is new, or else the process. It reports
// whether that changed anything.
func keepLastValid(c, old *config.Config, err error) bool {
	if ofApp, ok := errors.AsType[*session.AppError](err); ok {
		apps := []string{ofApp.App, ofApp.Other}
		if _, known := old.ByApp[ofApp.Other]; ofApp.Other != "" && !known {
			slices.Reverse(apps)
		}
		for _, name := range apps {
			if name != "" && c.Keep(old, name) {
				return true
			}
		}
	}
	return c.Keep(old, "")
}

// changed reports whether two configurations differ in anything that a snapshot is made of.
func changed(c, old *config.Config) bool {
	if !c.Process.Equal(old.Process) || !slices.Equal(c.Names, old.Names) {
		return true
	}
	return slices.ContainsFunc(c.Names, func(name string) bool { return !c.ByApp[name].Equal(old.ByApp[name]) })
}

// serve puts the next snapshot in the place of the old one. The revocation list decides
// nothing about a new app until the feed has read its revocations.
func (r *reloader) serve(ctx context.Context, next, old *snapshot) {
	c := next.config
	longest := c.LongestAccess()
	r.store.ExtendRetention(longest + session.RevocationMargin)
	if slices.Equal(c.Names, old.config.Names) && longest <= old.config.LongestAccess() {
		r.current.Store(next)
	} else {
		r.follow(ctx, c.Names, func() {
			added := slices.DeleteFunc(slices.Clone(c.Names), func(name string) bool { return slices.Contains(old.config.Names, name) })
			r.revocations.MarkUnread(added...)
			r.revocations.ExtendRetention(longest)
			r.current.Store(next)
		})
	}
	old.retire(next)
	r.logChanges(c, old.config)
	next.LogSettingWarnings()
}

// logChanges logs which settings have changed.
func (r *reloader) logChanges(c, old *config.Config) {
	var added, altered, removed []string
	for _, name := range c.Names {
		before, known := old.ByApp[name]
		switch {
		case !known:
			added = append(added, name)
		case !before.Equal(c.ByApp[name]):
			altered = append(altered, name)
		}
	}
	for _, name := range old.Names {
		if _, stays := c.ByApp[name]; !stays {
			removed = append(removed, name)
		}
	}
	r.Log.Info("settings have changed", "added", strings.Join(added, ","), "changed", strings.Join(altered, ","),
		"removed", strings.Join(removed, ","), "process", !c.Process.Equal(old.Process))
}

// refreshUsers reads the user files that have changed. It returns how many can't be used; the
// sources have logged why.
func (g *snapshot) refreshUsers() (faults int) {
	for _, source := range g.Sources {
		if source.Refresh() != nil {
			faults++
		}
	}
	return faults
}

// report logs the faults that the log does not have yet, and counts all faults, also those of
// user files.
func (r *reloader) report(faults []error, userFiles int) {
	var texts []string
	for _, err := range faults {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	for _, text := range texts {
		if r.again || !slices.Contains(r.reported, text) {
			r.Log.Error("settings can't be used: their last valid values stay in use", "error", text)
		}
	}
	if len(texts) == 0 && len(r.reported) > 0 {
		r.Log.Info("settings are valid again")
	}
	r.reported, r.again = texts, false
	r.faults, r.readAt = len(texts)+userFiles, time.Now()
	r.settings.Reloaded(r.faults, r.readAt)
}
