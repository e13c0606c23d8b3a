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

// errDeclined is returned where somebody was asked and did not agree.
var errDeclined = errors.New("the answer was not yes, and nothing was changed")

// askFirst makes an apply show its changes and ask whoever sits at a terminal. It does
// not where a stream is something else: there nobody may be there, or see it.
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
		// The end of the input is no answer, and so it is no.
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

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 1024
