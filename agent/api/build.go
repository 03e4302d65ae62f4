//go:build !nextformat

package api

// nextFormat is what builds with the tag nextformat have more: see fleet.FormatVersion.
func (a *API) nextFormat() []route { return nil }
