package config

// Texts returns the printed form of each setting of a gateway, by name.
func Texts(c *Config) map[string]string {
	texts := map[string]string{}
	all := rows(Prefix, &c.Process)
	for name, app := range c.ByApp {
		all = append(all, rows(AppPrefix(name), &app)...)
	}
	for _, r := range all {
		texts[r.Name] = r.Default
	}
	return texts
}
