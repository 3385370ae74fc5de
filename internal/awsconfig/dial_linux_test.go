package awsconfig_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
)

// blackhole returns a loopback address at which a connection gets no answer at all, as without a route: its listener accepts
// nothing and its queue is full, so that the kernel drops all packets.
func blackhole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(os.NewSyscallError("listen", err))
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 10 {
		connection, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = connection.Close() })
	}
	t.Fatal("the listener's queue doesn't fill")
	return ""
}

func TestDialingIsBounded(t *testing.T) {
	t.Parallel()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+blackhole(t), http.NoBody)
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	config := awsconfig.New("eu-central-1", aws.Credentials{})
	begin := time.Now()
	response, err := config.HTTPClient.Do(request)
	if err == nil {
		_ = response.Body.Close()
		t.Fatalf("connected: %s", response.Status)
	}
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("error is %v, want a time-out", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("connecting was given up after %s only", took)
	}
}
