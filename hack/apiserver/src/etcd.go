package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// etcdProcess is the etcd that this server started; it ends with it.
type etcdProcess struct {
	url    string
	cmd    *exec.Cmd
	exited chan error
}

// startEtcd tries a few times, as the ports it chooses may be taken before etcd binds them.
func startEtcd(ctx context.Context) *etcdProcess {
	for try := 1; ; try++ {
		etcd := launchEtcd()
		err := etcd.waitUntilReady()
		if err == nil {
			go func() {
				select {
				case err := <-etcd.exited:
					check(fmt.Errorf("etcd ended: %v, see %s", err, inState("etcd.log")))
				case <-ctx.Done():
				}
			}()
			return etcd
		}
		if try == 3 {
			check(fmt.Errorf("etcd: %v, see %s", err, inState("etcd.log")))
		}
	}
}

func launchEtcd() *etcdProcess {
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", freePort()), fmt.Sprintf("http://127.0.0.1:%d", freePort())
	log := must(os.OpenFile(inState("etcd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644))
	defer log.Close()
	cmd := exec.Command(*etcdProgram, "--name=default", "--data-dir="+inState("etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--unsafe-no-fsync", "--log-level=warn", "--quota-backend-bytes=4294967296",
		// The peer port differs at every start: make the kept data a new cluster of one.
		"--force-new-cluster="+fmt.Sprint(exists(inState("etcd/member"))))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	etcd := &etcdProcess{url: client, cmd: cmd, exited: make(chan error, 1)}
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started etcd ends, not the process. So one is kept that waits for etcd: others
		// end with each call into another network (dialInside).
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			etcd.exited <- cmd.Wait()
		}
	}()
	check(<-started)
	check(os.WriteFile(inState("etcd.pid"), fmt.Append(nil, cmd.Process.Pid), 0o644))
	check(os.WriteFile(inState("etcd.url"), []byte(client), 0o644))
	return etcd
}

func (e *etcdProcess) waitUntilReady() error {
	address := must(url.Parse(e.url)).Host
	for range 400 {
		select {
		case err := <-e.exited:
			return fmt.Errorf("ended: %v", err)
		case <-time.After(25 * time.Millisecond):
		}
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
	}
	e.stop()
	return fmt.Errorf("not ready after 10 s")
}

func (e *etcdProcess) stop() { e.cmd.Process.Signal(syscall.SIGTERM) }

func freePort() int {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
