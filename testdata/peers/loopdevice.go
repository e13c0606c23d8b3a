package peers

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// LoopDevice makes a loop device as losetup does with these arguments, and
// returns its path. It is detached when the test ends.
func LoopDevice(t testing.TB, args ...string) string {
	t.Helper()
	Require(t, "losetup")
	if os.Geteuid() != 0 {
		Lacking(t, "only root makes loop devices")
	}
	out, err := exec.Command("losetup", append([]string{"--find", "--show"}, args...)...).CombinedOutput()
	if err != nil {
		Lacking(t, "losetup: "+string(out))
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return device
}
