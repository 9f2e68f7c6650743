package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// forward makes an address inside a network namespace reachable from the namespace that it is started in: it listens
// on 127.0.0.1 here and dials there. Arguments: the namespace's file, the address, and a file for the address that it
// listens on. It takes the one in that file again if it is free, so that a restart changes nothing for clients; else
// the system chooses.
func forward(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("usage: forward NAMESPACE-FILE ADDRESS FILE")
	}
	namespace, target, file := arguments[0], arguments[1], arguments[2]

	listener, err := listenAsBefore(file)
	if err != nil {
		return err
	}
	connections := make(chan net.Conn)
	failed := make(chan error, 1)
	go func() { failed <- dialInside(namespace, target, connections) }()
	if err := replaceFile(file, listener.Addr().String()+"\n"); err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				failed <- err
				return
			}
			connections <- connection
		}
	}()
	return <-failed
}

func listenAsBefore(file string) (net.Listener, error) {
	if before, err := os.ReadFile(file); err == nil {
		if listener, err := net.Listen("tcp", strings.TrimSpace(string(before))); err == nil {
			return listener, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// freePort prints a port of 127.0.0.1 that is free at this moment, for a program that cannot have the system choose.
func freePort() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err == nil {
		fmt.Println(port)
	}
	return err
}

// replaceFile writes a file so that no reader sees a part of it.
func replaceFile(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// dialInside dials the target for each connection that it is given, from inside the namespace, and has the two joined.
// It returns only if the namespace cannot be entered. A socket stays in the namespace that it was made in, so only the
// thread that dials has to be there.
func dialInside(namespace, target string, connections <-chan net.Conn) error {
	runtime.LockOSThread()
	file, err := os.Open(namespace)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("cannot enter the network namespace %s: %w", namespace, err)
	}
	for here := range connections {
		there, err := net.DialTimeout("tcp", target, 5*time.Second)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", target, err)
			here.Close()
			continue
		}
		go join(here, there)
	}
	return nil
}

// join copies both ways until both sides have said all.
func join(a, b net.Conn) {
	done := make(chan struct{})
	go func() {
		copyAll(a, b)
		close(done)
	}()
	copyAll(b, a)
	<-done
	a.Close()
	b.Close()
}

func copyAll(to, from net.Conn) {
	// An error is the end of the connection, which the other side is told.
	_, _ = io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}
