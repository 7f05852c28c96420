package cli

import "runtime/debug"

// released is the version that a build sets with
// -ldflags "-X tokengate/session/cli.released=…". The image's build does so, because
// it has no commit to read.
var released string

// version returns released, or else the commit that the binary was built from, or
// else the module's version.
func version() string {
	if released != "" {
		return released
	}
	info, _ := debug.ReadBuildInfo() // present in every binary built with modules
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}
