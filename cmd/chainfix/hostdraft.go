//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/policyfile"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/draft"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// draftFlags are for decisions that only the operator can make.
func draftFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "draft-policy", Usage: "write the open decisions to `FILE`, a policy file to fill in"},
			func(o *options, c *cli.Context) error {
				if o.draftPolicy = c.String("draft-policy"); o.draftPolicy == "" {
					return usageError("--draft-policy needs a file")
				}
				return nil
			}},
	}
}

// errNoDraft protects a file that somebody may have filled in for a day.
var errNoDraft = errors.New("the file exists, and is not an unanswered draft")

// checkDraftFree returns an error if the draft would replace anything but an unanswered draft.
func (o *options) checkDraftFree(ctx context.Context, requests *limit.Requests) error {
	path := o.draftPolicy
	if path == "" {
		return nil
	}
	_, err := limit.Do(ctx, requests, path, func(context.Context) (struct{}, error) { return struct{}{}, draftFree(path) })
	if err == nil {
		return nil
	}
	failed := fmt.Errorf("cannot write a draft to %s: %w", shownName(path), unwrapPath(err))
	if !errors.Is(err, errNoDraft) {
		return inputError(failed)
	}
	hint := finding.Say("name another file, or move it away")
	if word := finding.ShellWord(path); word != "PATH" && !strings.HasPrefix(word, "-") {
		hint = finding.Say("name another file, or move it away: %s", finding.Command("mv "+word+" "+finding.ShellWord(path+".old")))
	}
	return inputError(withHint(failed, hint))
}

// draftFree returns [errNoDraft] if path is anything but an unanswered draft. A missing folder
// is reported before the scan, which may be long.
func draftFree(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err = os.Stat(filepath.Dir(path))
		return err
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errNoDraft
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, policyfile.MaxSize+1))
	if err == nil && !draft.IsDraft(text) {
		err = errNoDraft
	}
	return err
}

// writeDraft writes the open decisions to the file of --draft-policy, if it is given.
func (o *options) writeDraft(ctx context.Context, std streams, decisions []report.Decision, requests *limit.Requests) error {
	if o.draftPolicy == "" {
		return nil
	}
	text, sum, err := draft.Text(ctx, decisions, o.draftOptions(requests))
	if err != nil {
		return inputError(err)
	}
	if err := o.checkDraftFree(ctx, requests); err != nil {
		return err
	}
	lost, err := saveDraft(ctx, o.draftPolicy, text)
	if err != nil {
		return inputError(err)
	}
	if o.json {
		return nil
	}
	fmt.Fprintf(std.err, "chainfix: wrote %s. Questions about formats: %d, about chains: %d, that a policy file cannot answer: %d\n",
		shownName(o.draftPolicy), sum.Formats, sum.Chains, sum.LeftOut)
	if sum.NotThere > 0 {
		fmt.Fprintf(std.err, "%s: warning: no room for %d more questions\n", shownName(o.draftPolicy), sum.NotThere)
	}
	if lost != "" {
		fmt.Fprintf(std.err, "%s: warning: the new file could not keep the old one's %s\n", shownName(o.draftPolicy), lost)
	}
	return nil
}

// draftOptions name the commands that use a draft: with the flags of this scan except its
// policy file, since a command takes only one.
func (o *options) draftOptions(requests *limit.Requests) draft.Options {
	others := *o
	others.policyFile = nil
	flags := others.repeatedFlags() + "--policy"
	options := draft.Options{
		Scan: "chainfix host scan " + flags, Apply: "chainfix host apply " + flags, File: finding.ShellWord(o.draftPolicy),
		Resolve: func(ctx context.Context, path string) (string, error) {
			return limit.Do(ctx, requests, path, func(ctx context.Context) (string, error) { return storage.FileOpener{}.Resolve(ctx, path) })
		},
	}
	if o.from != "" {
		options.Scan = "chainfix host scan --from " + finding.ShellWord(o.from) + " " + flags
	}
	if o.policyFile != nil {
		options.Policy = finding.ShellWord(*o.policyFile)
	}
	return options
}

// saveDraft writes a draft whole or not at all.
func saveDraft(ctx context.Context, path string, text []byte) (lost string, err error) {
	file, err := beginReplacement(ctx, path)
	if err != nil {
		return "", err
	}
	defer file.abandon()
	file.Write(text)
	return file.commit(ctx)
}
