package config_test

import (
	"strings"
	"testing"

	"tokengate/session/config"
)

func TestUnknownSettingSuggestsNearest(t *testing.T) {
	for line, nearest := range map[string]string{
		"TOKENGATE_APS=shop": "TOKENGATE_APPS", "TOKENGATE_SHUTDOWN_GRAVE=1s": "TOKENGATE_SHUTDOWN_GRACE",
		webPrefix + "SECRET_KEYFILE=f": webPrefix + "SECRET_KEY_FILE", webPrefix + "LONG_RETRY_WINDOW=1s": webPrefix + "LONG_SESSION_RETRY_WINDOW",
	} {
		name, _, _ := strings.Cut(line, "=")
		_, err := read(t, web("TOKEN=1", line)...)
		if want := "unknown setting " + name + "; did you mean " + nearest + "?"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestUnknownSettingSaysWhatToDo checks the advice for settings whose nearest name is not what
// was meant.
func TestUnknownSettingSaysWhatToDo(t *testing.T) {
	for name, advice := range map[string]string{
		"TOKENGATE_APP_BLOG_SECRET_KEY":              "if blog is an app, add it to TOKENGATE_APPS",
		"TOKENGATE_APP_MY_BLOG_SIGNING_KEY_FILE":     "if my-blog is an app, add it to TOKENGATE_APPS",
		"TOKENGATE_APP_X_LONG_SESSION_RETRY_WINDOW":  "if x is an app, add it to TOKENGATE_APPS",
		"TOKENGATE_APP_WBE_SHOP_SECRET_KEY":          "did you mean " + webPrefix + "SECRET_KEY?",
		webPrefix + "RETRY_WINDOW":                   "give " + webPrefix + "LONG_SESSION_RETRY_WINDOW, " + webPrefix + "SHORT_SESSION_RETRY_WINDOW or both",
		webPrefix + "MAX_NUMBER_ACTIVE_SESSIONS":     "give " + webPrefix + "LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS, " + webPrefix + "SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS or both",
		"TOKENGATE_LISTEN_FILE":                      "only secrets can be given in a file: give TOKENGATE_LISTEN",
		webPrefix + "ISSUER_FILE":                    "only secrets can be given in a file: give " + webPrefix + "ISSUER",
		webPrefix + "LONG_SESSION_RETRY_WINDOW_SECS": "did you mean " + webPrefix + "LONG_SESSION_RETRY_WINDOW?",
		webPrefix + "USERS_QUERIES":                  "did you mean " + webPrefix + "USERS_QUERY?",
		"TOKENGATE_APP_DEBUG":                        "did you mean TOKENGATE_APPS_DIR?",
	} {
		_, err := read(t, web(name+"=x")...)
		if want := "unknown setting " + name + "; " + advice; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	_, err := read(t, web("TOKENGATE_APPS=web-shop,my_shop", "TOKENGATE_APP_MY_SHOP_USERS=x", webPrefix+"USER=x", webPrefix+"ISSUERS=x")...)
	if err == nil || strings.Contains(err.Error(), "MY_SHOP") || !strings.HasSuffix(err.Error(), "unknown setting "+webPrefix+"ISSUERS; did you mean "+webPrefix+"ISSUER?\nunknown setting "+webPrefix+"USER; did you mean "+webPrefix+"USERS?") {
		t.Errorf("with an invalid name of another app: got %v, want the unknown settings of this one, in order", err)
	}
	_, err = read(t, "TOKENGATE_APP_SHOP_SECRET_KEY=x") // with sessions in memory and the demo app
	if err == nil || !strings.HasSuffix(err.Error(), "if shop is an app, add it to TOKENGATE_APPS") {
		t.Errorf("without TOKENGATE_APPS: got %v, want the advice to add the app", err)
	}
}

func TestServiceLinksAreRecognized(t *testing.T) {
	links := []string{
		"PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR", "PORT_8000_TCP_PORT", "PORT_8000_TCP_PROTO",
		"PORT_53_UDP", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "ADMIN_PORT", "ADMIN_SERVICE_HOST",
	}
	for _, name := range links {
		_, err := read(t, web(config.Prefix+name+"=x")...)
		if err == nil || !strings.HasPrefix(err.Error(), "unknown setting "+config.Prefix+name+"; ") || !strings.Contains(err.Error(), "enableServiceLinks: false") {
			t.Errorf("%s: got %v, want the advice for service links", name, err)
		}
	}
	for _, name := range []string{"TRANSPORT", "PORTS", "SERVICE", "PORT_HTTP"} {
		if _, err := read(t, web(config.Prefix+name+"=x")...); err == nil || strings.Contains(err.Error(), "enableServiceLinks") {
			t.Errorf("%s: got %v, want no advice for service links", name, err)
		}
	}
}
