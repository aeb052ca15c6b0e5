package qliktest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestBubble runs a site, its client and its people for an hour of fake time in a testing/synctest bubble.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := Company(40)
		config.InMemory = true
		site, err := Start(config)
		if err != nil {
			t.Fatal(err)
		}
		defer site.Close()
		client := site.Client()
		defer client.CloseIdleConnections()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- NewPeople(site, 1).Run(ctx) }()
		site.SetProxyLatency("qlik-central", 150*time.Millisecond)

		time.Sleep(time.Hour)
		synctest.Wait()
		began := time.Now()
		var sessions []sessionData
		get(t, client, "https://qlik-central:4243/qps/session", &sessions)
		if took := time.Since(began); took != 150*time.Millisecond {
			t.Errorf("the answer took %v", took)
		}
		if len(sessions) == 0 {
			t.Error("nobody came")
		}
		for _, fault := range Faults() {
			site.SetProxyFault("qlik-node2", fault)
			if err := checkFault(t, client, "https://qlik-node2:4243/qps/sales/session", fault); err != nil {
				t.Errorf("%v: %v", fault, err)
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestMemoryConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memoryPipe("client", "server")
		began := time.Now()
		_ = client.SetReadDeadline(began.Add(time.Second))
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(began))
		}
		_ = client.SetWriteDeadline(began.Add(3 * time.Second))
		n, err := client.Write(make([]byte, memoryBuffer+1))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n != memoryBuffer || time.Since(began) != 3*time.Second {
			t.Errorf("write: %d, %v after %v", n, err, time.Since(began))
		}
		_ = client.SetDeadline(began)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read after the deadline: %v", err)
		}
		_ = client.SetDeadline(time.Time{})
		_ = server.SetDeadline(began.Add(time.Hour))
		_ = server.Close()
		if _, err := client.Write([]byte{1}); err == nil {
			t.Error("wrote to a closed connection")
		}
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("read from a closed connection")
		}
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after closing: %v", err)
		}
		if client.LocalAddr().String() != "client" || client.RemoteAddr().Network() != "memory" {
			t.Error(client.LocalAddr(), client.RemoteAddr())
		}
		_ = client.Close()
	})
}

func TestManyClientsAtOnce(t *testing.T) {
	site := start(t, Config{InMemory: true})
	done := make(chan error)
	for range 16 {
		go func() {
			client := site.Client()
			defer client.CloseIdleConnections()
			for range 20 {
				if status, _, err := ask(t, client, http.MethodGet, "https://qlik1:4243/qps/session"); status != 200 || err != nil {
					done <- errors.Join(err, errors.New(http.StatusText(status)))
					return
				}
				s, err := site.Login("LAB", "goran", "laptop", "", "")
				if err != nil {
					done <- err
					return
				}
				site.Logout(s.ID)
				site.Sessions()
			}
			done <- nil
		}()
	}
	for range 16 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
