//go:build !unix

package chain

// errnoName returns "": local files are not opened on this system. See
// [storage.FileOpener].
func errnoName(error) string { return "" }
