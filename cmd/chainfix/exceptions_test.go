package main

import (
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/testdata/golden"
)

// exception is a reason why a prediction is worse than the outcome, as
// docs/prediction.md has it.
type exception string

const (
	damagedHeader exception = "For a header that records the format twice, or has other damage that QEMU accepts, `misopens` is predicted. libvirt 12.8 and QEMU both take the last record, " +
		"and the guest may see the right bytes."
	oddJSON exception = "A `json:` name that gives an option twice, or NaN for a number, has no defined meaning: QEMU refuses it, and libvirt since 10.8 opens something: `misopens`."
	noLook  exception = "A file that only an image of unstated format names is not read. If it is missing, the guest does not start where `misopens` is predicted."
	qedBase exception = "Below a qed overlay libvirt follows an image by its guessed format: `misopens`, whatever it finds there."
	covered exception = "An overlay that covers the whole disk hides a base that was opened wrongly: `misopens`, though the bytes are right."
	noSize  exception = "A character device whose format is not recorded `misopens` with a QEMU before 6.0, which opens it: the guest reads unknown bytes."
)

// exceptions are all of them, including those that no test can start a chain for.
var exceptions = []exception{
	damagedHeader, oddJSON, noLook, qedBase, covered, noSize,
	"A `json:` name of an rbd image in a namespace `misopens` with every libvirt, since it drops the namespace; if the pool has no image of that name the guest does not start.",
	"A data file that only the header names, and libvirt does not find: `starts`, with a remark. Under libvirt's default access control QEMU gets \"Permission denied\" where the file's mode does not let it.",
	"What a QEMU does while it reads, such as one that waits for ever for an http server (10.0 and 11.1 of Debian 13, with a qcow2 image there), is not predicted.",
	"Headers are checked as QEMU from 7.2 on does. An older one, or a build without a library, may accept or refuse a damaged or rare header of which something else is predicted (5.2 accepts LUKS headers that `refuse`).",
	"A FIFO in a chain makes libvirt wait for ever: `refuses`, and no test starts that guest.",
}

// TestExceptionsAreDocumented: docs/prediction.md has all of them.
func TestExceptionsAreDocumented(t *testing.T) {
	var text strings.Builder
	for _, e := range exceptions {
		text.WriteString("* " + string(e) + "\n")
	}
	golden.Part(t, "../../docs/prediction.md", "<!-- Generated: CHAINFIX_UPDATE=1 go test ./cmd/chainfix -run TestExceptionsAreDocumented -->\n\n", text.String(), "\n<!-- End of the exceptions. -->\n")
}

// exceptional is the outcome of a disk with a worse prediction, and the reason.
type exceptional struct {
	outcome predict.Outcome
	why     exception
}

// becomes is an [exceptional] outcome.
func becomes(outcome predict.Outcome, why exception) *exceptional {
	return &exceptional{outcome, why}
}

// outcome is the expected outcome of a disk.
func (c oddChain) outcome() predict.Outcome {
	if c.but != nil {
		return c.but.outcome
	}
	return c.want
}
