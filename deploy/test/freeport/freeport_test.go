package freeport

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// TestAddressesDiffer checks that several processes never claim the same port at once.
func TestAddressesDiffer(t *testing.T) {
	if os.Getenv("PORTS_CLAIM") != "" {
		for range 300 {
			os.Stdout.WriteString(Address(t) + "\n")
		}
		os.Stdout.WriteString("all\n")
		_, _ = os.Stdin.Read(make([]byte, 1)) // holds the ports until all processes have claimed theirs
		return
	}
	const processes = 4
	var mu sync.Mutex
	var wg, claimed sync.WaitGroup
	seen := map[string]bool{}
	claimed.Add(processes)
	for range processes {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestAddressesDiffer$")
		cmd.Env = append(os.Environ(), "PORTS_CLAIM=1")
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			var text strings.Builder
			for b := make([]byte, 4096); !strings.HasSuffix(text.String(), "all\n"); {
				n, err := out.Read(b)
				text.Write(b[:n])
				if err != nil {
					break
				}
			}
			mu.Lock()
			for _, address := range strings.Fields(text.String()) {
				if address != "all" && seen[address] {
					t.Errorf("%s is claimed twice", address)
				}
				seen[address] = true
			}
			mu.Unlock()
			claimed.Done()
			claimed.Wait()
			_ = in.Close()
			_ = cmd.Wait()
		})
	}
	wg.Wait()
	if len(seen) != processes*300+1 { // the word "all" included
		t.Errorf("got %d addresses, want %d", len(seen)-1, processes*300)
	}
}

func TestReleaseFreesThePort(t *testing.T) {
	port, release, err := Claim()
	if err != nil {
		t.Fatal(err)
	}
	if free(port + markerOffset) {
		t.Error("a claimed port is not marked as taken")
	}
	l, err := net.Listen("tcp", Addr(port))
	if err != nil {
		t.Fatalf("can't listen on a claimed port: %v", err)
	}
	_ = l.Close()
	release()
	if !free(port + markerOffset) {
		t.Error("a released port is still marked as taken")
	}
}
