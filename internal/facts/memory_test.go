//go:build !race

package facts_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestHostileMemory checks that long lists cost little memory.
func TestHostileMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, secrets := newCanaries(t)
		var body bytes.Buffer
		body.WriteByte('[')
		for i := range 50_000 {
			fmt.Fprintf(&body, `{"id":"%d","SessionId":"%d","UserDirectory":"CANARY","UserId":"%d","sessionID":"%d","modifiedByUserName":"CANARY\\%d","prefix":"%d"},`, i, i, i, i, i, i)
		}
		body.WriteString("{}]")
		o.SetAnswer("canary-node1", "", body.Bytes())
		for _, path := range []string{"/qrs/license/professionalaccessusage/full", "/qrs/license/loginaccessusage/full"} {
			o.SetRepositoryAnswer(path, body.Bytes())
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		o.config.Watch = 31 * time.Second
		o.config.Progress = func(time.Duration, time.Duration) {
			runtime.GC()
			runtime.ReadMemStats(&after)
			if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 64<<20 {
				t.Errorf("%d MiB in use", used>>20)
			}
		}
		o.inspect("long lists", secrets)
		if after.HeapAlloc == 0 {
			t.Error("the memory was not measured")
		}
	})
}
