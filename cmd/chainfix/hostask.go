//go:build !small

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/xmlfix"
)

// errDeclined is returned if the change was not confirmed.
var errDeclined = errors.New("not confirmed, so nothing was changed")

// askFirst makes an apply show its changes and ask for confirmation. It asks only if
// all streams are a terminal.
func askFirst(ctx context.Context, a *host.Apply, std streams) {
	if !isTerminal(std.in) || !isTerminal(std.out) || !isTerminal(std.err) {
		return
	}
	a.OnPlanned = func(name string, old []byte, doc *xmlfix.Document) error {
		diff, err := diffOfEntry(doc, name, old)
		if err != nil {
			diff = fmt.Sprintf("%s: warning: its change cannot be shown: %v\n", shownName(name), err)
		}
		_, err = io.WriteString(std.err, diff)
		return writeError(err)
	}
	a.Confirm = func(changes int) error {
		what := "this change"
		if changes > 1 {
			what = fmt.Sprintf("these %d changes", changes)
		}
		fmt.Fprintf(std.err, "Make %s? [y/N] ", what)
		// The end of the input counts as no.
		answer, err := limit.Do(ctx, patient, stdinName, func(context.Context) (string, error) {
			answer, err := bufio.NewReader(io.LimitReader(std.in, maxAnswer)).ReadString('\n')
			if err == io.EOF {
				err = nil
			}
			return answer, err
		})
		if err != nil {
			return err
		}
		if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
			return errDeclined
		}
		return nil
	}
}

// maxAnswer is the most that is read of an answer, in bytes.
const maxAnswer = 1024
