package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"tokengate/session/files"
)

// appFileSuffix ends the name of an app's file in TOKENGATE_APPS_DIR.
const appFileSuffix = ".env"

// readAppsDir reads the apps of TOKENGATE_APPS_DIR, and reports their faults. It fails if the
// folder can't be read. It also fails if the folder has no apps and is not the one of before,
// or nil: a file system that is not mounted is more likely than the end of all apps.
func (c *Config) readAppsDir(r *reader, before os.FileInfo, report func(app string, err error)) (err error) {
	r.files = append(r.files, c.AppsDir)
	if c.dir, err = os.Stat(c.AppsDir); err != nil {
		return fmt.Errorf("TOKENGATE_APPS_DIR can't be read: %w", errors.Unwrap(err))
	}
	entries, err := os.ReadDir(c.AppsDir)
	if err != nil {
		return fmt.Errorf("TOKENGATE_APPS_DIR can't be read: %w", errors.Unwrap(err))
	}
	found := 0
	for _, entry := range entries {
		name, isApp := strings.CutSuffix(entry.Name(), appFileSuffix)
		if !isApp || strings.HasPrefix(entry.Name(), ".") { // editors and Kubernetes keep hidden files
			continue
		}
		found++
		path := filepath.Join(c.AppsDir, entry.Name())
		if c.prefixes[name] != "" {
			report(name, fmt.Errorf("the app %s is in TOKENGATE_APPS and has the file %s: keep one of them", name, path))
			continue
		}
		app := DefaultApp()
		err := c.readAppFile(r, name, path, &app)
		c.addApp(name, app, path+": ")
		c.inDir[name] = true
		report(name, err)
	}
	if found == 0 && before != nil && !os.SameFile(c.dir, before) {
		return errors.New("TOKENGATE_APPS_DIR has no file NAME.env, and is another folder than before: if that is right, restart the gateway")
	}
	return nil
}

// readAppFile reads and checks the settings of an app in a file. app holds the defaults.
func (c *Config) readAppFile(env *reader, name, path string, app *App) error {
	env.files = append(env.files, path)
	if !appName.MatchString(name) {
		return fmt.Errorf("%s: %w", path, invalidName(name))
	}
	env.inDir[AppPrefix(name)] = path
	content, _, err := files.Read(path, maxFile)
	if err != nil {
		return fmt.Errorf("%s can't be read: %w", path, err)
	}
	lines, err := ParseEnvFile(string(content))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r := newReader()
	r.label = path + ": "
	var faults []error
	if r.variables, err = variablesOf(lines, AppPrefix(name)); err != nil {
		faults = append(faults, fmt.Errorf("%s%w", r.label, err))
	}
	faults = append(faults, r.read("", app))
	env.files = append(env.files, r.files...)
	for _, variable := range r.unknown() {
		faults = append(faults, r.unknownError(variable))
	}
	if err = errors.Join(faults...); err == nil {
		err = errors.Join(app.validate(r.label), c.checkUsers(*app, r.label))
	}
	return err
}

// variableForm is the form of the names of settings.
var variableForm = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// variablesOf returns the variables in lines of the form NAME=value. prefix is that of the
// app's settings in the environment, which the names must not have.
func variablesOf(lines []string, prefix string) (variables map[string]string, err error) {
	variables = map[string]string{}
	var faults []error
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		_, twice := variables[name]
		switch short, long := strings.CutPrefix(name, prefix); {
		case !variableForm.MatchString(name): // it may be a secret that was written without the name
			faults = append(faults, errors.New("a line does not begin with the name of a setting and =: write NAME=value"))
			continue
		case long:
			faults = append(faults, fmt.Errorf("%s: in this file the setting's name is %s", name, short))
			continue
		case twice:
			faults = append(faults, fmt.Errorf("%s is given twice: keep one", name))
		case len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0]:
			faults = append(faults, fmt.Errorf("%s has quotes around its value, which would be part of it: leave them out", name))
		}
		variables[name] = value
	}
	return variables, errors.Join(faults...)
}

// ParseEnvFile returns the lines of the form NAME=value of a file's content. It skips empty
// lines and comments. Its errors do not repeat a line, which may have a secret.
func ParseEnvFile(content string) (lines []string, err error) {
	n := 0
	for line := range strings.Lines(content) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if text := strings.TrimSpace(line); text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if name, _, found := strings.Cut(line, "="); !found || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsRune(line, 0) {
			return nil, fmt.Errorf("line %d is not of the form NAME=value", n)
		}
		lines = append(lines, line)
	}
	return lines, nil
}
