package main

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

// unreadHint is the hint for a document that cannot be read: the argument may name a
// guest, whose XML virsh has, or a folder.
func unreadHint(in input, err error) finding.Remedy {
	switch bare := !strings.Contains(in.path, "/") && !strings.EqualFold(filepath.Ext(in.path), ".xml"); {
	case in.path == "":
	case errors.Is(err, fs.ErrNotExist) && bare:
		return finding.Say("a guest's XML comes from libvirt: %s",
			finding.Command("virsh dumpxml --inactive --security-info "+finding.GuestWord(in.path)+" | chainfix"))
	case errors.Is(err, syscall.EISDIR):
		return finding.Say("a folder of definitions: %s", finding.Command("chainfix host scan --from "+finding.ShellWord(in.path)))
	}
	return finding.Remedy{}
}

// absentImageHint is the hint for an image that does not exist: the argument may name a
// guest.
func absentImageHint(path string, err error) finding.Remedy {
	if strings.Contains(path, "/") || !errors.Is(err, fs.ErrNotExist) {
		return finding.Remedy{}
	}
	return finding.Say("the images of a guest: %s", finding.Command("virsh domblklist "+finding.GuestWord(path)))
}

// nothingCameIn is the hint for an empty standard input.
var nothingCameIn = finding.Say("no input: did the command before the pipe fail?")

// explainedInput returns the error about a document that cannot be parsed. If the input
// is empty or an image, the error says so.
func explainedInput(in input, data []byte, err error) error {
	text := bytes.TrimSpace(data)
	switch {
	case len(text) > 0 && text[0] == '<':
		return err
	case len(text) == 0 && in.path == "":
		return withHint(err, nothingCameIn)
	case len(text) == 0:
		return withHint(err, finding.Say("the file is empty"))
	}
	detail := "it is not text"
	if claims := claimedFormats(data); len(claims) > 0 {
		detail = "it is an image (" + image.FormatList(claims) + ")"
	} else if bytes.IndexByte(data[:min(len(data), 4096)], 0) < 0 {
		return err
	}
	probing := finding.Command("chainfix probe IMAGE")
	if in.path != "" {
		probing = finding.Command("chainfix probe " + finding.ShellWord(in.path))
	}
	return &xmlfix.Error{Name: in.name, Pos: xmlfix.Position{Line: 1, Column: 1}, Code: finding.NotADomain, Detail: detail,
		Remedy: finding.Say("to see what an image claims to be: %s", probing), Err: xmlfix.ErrNotDomain}
}

// claimedFormats returns the formats whose signatures the data has.
func claimedFormats(data []byte) []probe.Format {
	signatures, err := probe.Signatures(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil
	}
	var formats []probe.Format
	for _, s := range signatures {
		formats = append(formats, s.Format)
	}
	return formats
}
