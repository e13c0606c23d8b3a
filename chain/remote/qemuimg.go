package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxOutput bounds the stored output of qemu-img, in bytes.
	maxOutput = 64 << 10
	// sector is the unit in which QEMU counts the length of an image, in
	// bytes. It rounds up.
	sector = 512
)

// qemuImgPeer reads an image with qemu-img, one process for each request.
type qemuImgPeer struct {
	ctx     context.Context
	program string
	node    map[string]any // QEMU's options for the protocol node of the image
}

// openQemuImg reads the size with qemu-img info.
func openQemuImg(ctx context.Context, program string, node map[string]any) (peer, int64, error) {
	q := &qemuImgPeer{ctx, program, node}
	name, err := q.raw(nil)
	if err != nil {
		return nil, 0, err
	}
	out, err := q.run("info", "-f", "raw", "--output", "json", name)
	if err != nil {
		return nil, 0, err
	}
	var info struct {
		Size *int64 `json:"virtual-size"`
	}
	if err := json.Unmarshal(out, &info); err != nil {
		return nil, 0, fmt.Errorf("%w: the output of info: %w", ErrQemuImg, err)
	}
	if info.Size == nil || *info.Size < 0 || *info.Size%sector != 0 {
		return nil, 0, fmt.Errorf("%w: info shows no size", ErrQemuImg)
	}
	return q, *info.Size, nil
}

func (q *qemuImgPeer) close() error { return nil }

// fetch makes qemu-img copy the range into a file. The range is an option of
// the raw driver, because the meaning of "skip" with "count" of qemu-img dd
// differs between releases.
func (q *qemuImgPeer) fetch(p []byte, off int64) error {
	name, err := q.raw(map[string]any{"offset": off, "size": len(p)})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "chainfix-")
	if err != nil {
		return notTheImages(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "range")
	if _, err := q.run("dd", "-f", "raw", "-O", "raw", "bs=65536", "if="+name, "of="+path); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return notTheImages(err)
	}
	defer file.Close()
	return body(file, p)
}

// raw returns the image's name for qemu-img, with the raw format driver.
func (q *qemuImgPeer) raw(options map[string]any) (string, error) {
	node := map[string]any{"driver": "raw", "file": q.node}
	for key, value := range options {
		node[key] = value
	}
	b, err := json.Marshal(node)
	return "json:" + string(b), err
}

// run runs qemu-img until it ends or the context does.
func (q *qemuImgPeer) run(args ...string) ([]byte, error) {
	cmd := exec.CommandContext(q.ctx, q.program, args...)
	cmd.Env = withoutProxies(os.Environ())
	var out, complaint output
	cmd.Stdout, cmd.Stderr = &out, &complaint
	// Do not wait for other processes that have its output open.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, fmt.Errorf("%w: %s, with the message %s", ErrQemuImg, exit.ProcessState, shorten(strings.TrimSpace(string(complaint.kept))))
	case err != nil:
		return nil, notTheImages(err)
	}
	return out.kept, nil
}

// notTheImages hides that a local file is missing, which could be misread as a
// missing image.
func notTheImages(err error) error { return fmt.Errorf("%w: %v", ErrQemuImg, err) }

// withoutProxies removes curl's proxy variables from an environment:
// http_proxy, ALL_PROXY and similar ones.
func withoutProxies(environment []string) []string {
	var kept []string
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// output keeps the first bytes that a program prints. It has no ReadFrom,
// which would read more.
type output struct{ kept []byte }

func (o *output) Write(p []byte) (int, error) {
	o.kept = append(o.kept, p[:min(len(p), maxOutput-len(o.kept))]...)
	return len(p), nil
}
