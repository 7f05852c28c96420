package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// Config is the configuration of a scenario's gateway. The names are those of the
// Django app's settings.
type Config struct {
	Policy     map[string]any `json:"policy"` // durations are in seconds
	Users      []User         `json:"users"`
	Secret     string         `json:"secret"`
	SigningKey string         `json:"signing_key"`
}

// User is one user of the app.
type User struct {
	ID           any    `json:"id"` // number or text
	Username     string `json:"username"`
	Password     string `json:"password"`      // not used; the steps contain it
	PasswordHash string `json:"password_hash"` // in Django's format
	IsActive     *bool  `json:"is_active"`     // nil means true
}

// merge returns the configuration after a restart.
func (c Config) merge(r *Restart) Config {
	c.Policy = mergeObjects(c.Policy, r.Policy)
	if r.Users != nil {
		c.Users = r.Users
	}
	return c
}

func mergeObjects(old, changes map[string]any) map[string]any {
	merged := map[string]any{}
	maps.Copy(merged, old)
	for name, value := range changes {
		inner, isObject := merged[name].(map[string]any)
		change, changesObject := value.(map[string]any)
		if isObject && changesObject {
			value = mergeObjects(inner, change)
		}
		merged[name] = value
	}
	return merged
}

// Settings returns the gateway's settings for the app. The names are without
// their prefix TOKENGATE_APP_<NAME>_. The settings switch off what the Django app
// does not have: the retry window, reuse detection and, by 400 days, the absolute
// lifetime. REFRESH_TOKEN_LIFETIME outside of a session type has no counterpart,
// because only defects of the Django app depend on it.
func (c Config) Settings() map[string]string {
	settings := map[string]string{"SECRET_KEY": c.Secret, "SIGNING_KEY": c.SigningKey}
	for name, value := range c.Policy {
		if typePolicy, ok := value.(map[string]any); ok {
			settings[name+"_RETRY_WINDOW"] = "0s"
			settings[name+"_REUSE_DETECTION"] = "false"
			settings[name+"_ABSOLUTE_LIFETIME"] = "400d"
			for key, v := range typePolicy {
				set(settings, name+"_"+key, v)
			}
		} else if name != "REFRESH_TOKEN_LIFETIME" {
			set(settings, name, value)
		}
	}
	return settings
}

// set adds a setting unless value is null, which means the default.
func set(settings map[string]string, name string, value any) {
	if value == nil {
		return
	}
	settings[name] = settingText(value)
	for _, suffix := range []string{"LIFETIME", "ONCE_AFTER_EACH", "LEEWAY"} {
		if seconds, ok := float(value); ok && strings.HasSuffix(name, suffix) {
			settings[name] = fmt.Sprintf("%dms", int64(seconds*1000))
		}
	}
}

func settingText(value any) string {
	list, ok := value.([]any)
	if !ok {
		return fmt.Sprint(value)
	}
	items := make([]string, len(list))
	for i, item := range list {
		items[i] = fmt.Sprint(item)
	}
	return strings.Join(items, ",")
}

// UserFile returns the content of a user file ("file:" source) with the users.
func (c Config) UserFile() ([]byte, error) {
	type entry struct {
		ID       any    `json:"id"`
		Username string `json:"username"`
		Password string `json:"password"`
		IsActive bool   `json:"is_active"`
	}
	entries := make([]entry, len(c.Users))
	for i, u := range c.Users {
		entries[i] = entry{u.ID, u.Username, u.PasswordHash, u.IsActive == nil || *u.IsActive}
	}
	return json.Marshal(entries)
}
