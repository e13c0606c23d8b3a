//go:build !unix

package chain

// errnoName returns "": no local file is opened here. See [storage.FileOpener].
func errnoName(error) string { return "" }
