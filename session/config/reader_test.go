package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/kelseyhightower/envconfig"
)

type inner struct {
	Life Parsed[time.Duration] `split_words:"true"`
}

type sample struct {
	Text     string                `split_words:"true" empty:"is required: give a text"`
	Key      Secret                `split_words:"true"`
	Keys     Secrets               `split_words:"true" empty:"is required: give at least one key"`
	On       Parsed[bool]          `split_words:"true"`
	Count    Parsed[int]           `split_words:"true"`
	List     List                  `split_words:"true"`
	Networks Parsed[Networks]      `split_words:"true"`
	Recheck  Parsed[Recheck]       `split_words:"true"`
	Level    Parsed[slog.Level]    `split_words:"true"`
	Grace    Parsed[time.Duration] `split_words:"true"`
	In       inner                 `split_words:"true"`
}

// readSample reads a sample whose defaults are valid, with variables from lines of the form
// NAME=value.
func readSample(t *testing.T, lines ...string) (sample, error) {
	t.Helper()
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	s := sample{Text: "default", Keys: Secrets{"default"}, Count: parsed(7), List: List{"x"}}
	return s, newReader().read("P_", &s)
}

func TestRead(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte("a, b\r\nc \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readSample(t, "P_KEY_FILE="+keyFile, "P_KEYS_FILE="+keyFile, "P_ON=true", "P_LIST= a, ,b\r \nc\n", "P_NETWORKS=10.0.0.1",
		"P_RECHECK=off", "P_LEVEL=WARN", "P_GRACE=30d", "P_IN_LIFE=90s", "P_COUNT=-3")
	if err != nil {
		t.Fatal(err)
	}
	want := sample{
		Text: "default", Key: "a, b\r\nc ", Keys: Secrets{"a", "b", "c"}, On: parsed(true), Count: parsed(-3), List: List{"a", "b", "c"},
		Networks: parsed(Networks{netip.MustParsePrefix("10.0.0.1/32")}), Recheck: parsed(Recheck{Set: true, Off: true}),
		Level: parsed(slog.LevelWarn), Grace: parsed(720 * time.Hour), In: inner{parsed(90 * time.Second)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestReadKeepsDefaults checks that a setting without a variable keeps its default, and that
// an empty variable counts as set.
func TestReadKeepsDefaults(t *testing.T) {
	if got, err := readSample(t); err != nil || got.Text != "default" || got.Count.Value != 7 || len(got.List) != 1 {
		t.Errorf("got %+v, %v, want the defaults", got, err)
	}
	if got, err := readSample(t, "P_LIST="); err != nil || len(got.List) != 0 {
		t.Errorf("got %+v, %v, want an empty list", got, err)
	}
}

// TestReadReportsAllFaults gives every setting an invalid value. The error must have one line
// for each, which names the setting and what it takes, and must never contain a value, which
// may be a secret.
func TestReadReportsAllFaults(t *testing.T) {
	faults := map[string]string{
		"P_TEXT=":              "P_TEXT is required: give a text",
		"P_KEY_FILE=/hunter2":  "P_KEY: _FILE can't be read: no such file or directory",
		"P_KEYS=,":             "P_KEYS is required: give at least one key",
		"P_ON=hunter2":         "P_ON: give true or false",
		"P_COUNT=hunter2":      "P_COUNT: give a whole number",
		"P_NETWORKS=hunter2":   "P_NETWORKS: give addresses or CIDRs such as 10.0.0.0/8, comma-separated",
		"P_RECHECK=hunter2":    "P_RECHECK: give a duration from 0s to 400d, such as 30s, or off",
		"P_LEVEL=hunter2":      "P_LEVEL: give debug, info, warn or error",
		"P_GRACE=213504d":      "P_GRACE: give a duration such as 90s, 12h or 30d; 106751d is the longest",
		"P_IN_LIFE=-1dhunter2": "P_IN_LIFE: give a duration such as 90s, 12h or 30d; 106751d is the longest",
	}
	var lines, want []string
	for line, fault := range faults {
		lines, want = append(lines, line), append(want, fault)
	}
	_, err := readSample(t, lines...)
	if err == nil {
		t.Fatal("got no error")
	}
	got := strings.Split(err.Error(), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestReadReportsMissingSettings checks that a setting that must be given, and isn't, is
// reported as such.
func TestReadReportsMissingSettings(t *testing.T) {
	err := newReader().read("P_", &sample{})
	if want := "P_TEXT is required: give a text\nP_KEYS is required: give at least one key"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestReadRejectsSecretGivenTwice(t *testing.T) {
	_, err := readSample(t, "P_KEY=hunter2", "P_KEY_FILE=hunter2")
	if err == nil || err.Error() != "P_KEY: is given twice: keep it or P_KEY_FILE, not both" {
		t.Errorf("got %v, want the error that the setting is given twice", err)
	}
}

// TestReadRejectsUnsuitableFields checks that a field that can't hold every text is an error
// without the value, which envconfig's own error contains.
func TestReadRejectsUnsuitableFields(t *testing.T) {
	t.Setenv("P_COUNT", "hunter2")
	var unsuitable struct {
		Count int `split_words:"true"`
	}
	if err := newReader().read("P_", &unsuitable); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the value", err)
	}
}

// TestFieldsAreSettings checks for each struct of settings that its fields have the tags that
// they need, and the names that envconfig gives them.
func TestFieldsAreSettings(t *testing.T) {
	process, app := DefaultProcess(), DefaultApp()
	for prefix, settings := range map[string]any{"TOKENGATE_": &process, "TOKENGATE_APP_WEB_SHOP_": &app, "P_": &sample{}} {
		var want strings.Builder
		names := template.Must(template.New("").Parse("{{range .}}{{.Key}}\n{{end}}"))
		if err := envconfig.Usaget(strings.TrimSuffix(prefix, "_"), settings, &want, names); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, s := range settingsOf(prefix, reflect.ValueOf(settings).Elem()) {
			fmt.Fprintln(&got, s.name)
			if s.tags.Get("split_words") != "true" || s.tags.Get("envconfig") != "" || prefix != "P_" && s.tags.Get("desc") == "" {
				t.Errorf("%s: got the tags %s, want split_words and desc, and not envconfig", s.name, s.tags)
			}
		}
		if got.String() != want.String() {
			t.Errorf("got the names\n%s\nwant those of envconfig\n%s", &got, &want)
		}
	}
}

// TestSecretsAreNotPrinted checks that package fmt prints no secret, however it is asked to.
func TestSecretsAreNotPrinted(t *testing.T) {
	settings := sample{Key: "hunter2", Keys: Secrets{"hunter2"}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{settings, &settings, settings.Key, &settings.Key, settings.Keys, []any{settings.Key}} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74657232") {
				t.Errorf("%s of a %T: got %s, want it hidden", verb, value, text)
			}
		}
	}
	if text := fmt.Sprint(Secret(""), Secrets{}); text != "" {
		t.Errorf("got %q for secrets that are not set, want nothing", text)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(io.MultiWriter(&log), nil)).Info("x", "a", settings.Key, "b", settings.Keys)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "a", settings.Key, "b", settings.Keys, "c", settings)
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("got the log %s, want the secrets hidden", &log)
	}
}
