package main

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// guard lets in only so many connections, and ends each that is silent for too long.
//
// A connection by the Unix socket has no address, and the library tells clients apart by theirs: it gets one of
// loopback that nobody else has.
type guard struct {
	net.Listener
	users     *credentials
	ofSource  int // 0: whoever hands over counts himself
	handed    atomic.Uint32
	lock      sync.Mutex
	bySource  map[string]int
	openCount int
}

func newGuard(listener net.Listener, users *credentials, ofSource int) *guard {
	return &guard{Listener: listener, users: users, ofSource: ofSource, bySource: map[string]int{}}
}

func (g *guard) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil { // no file is left, for instance: the library would never accept again
			time.Sleep(100 * time.Millisecond)
			continue
		}
		guarded := &guarded{Conn: conn, guard: g, remote: conn.RemoteAddr()}
		if tcp, ok := guarded.remote.(*net.TCPAddr); ok {
			guarded.source = tcp.IP.String()
		} else {
			number := g.handed.Add(1)
			guarded.remote = &net.TCPAddr{IP: net.IPv4(127, 1+byte(number>>24), byte(number>>16), 1), Port: int(number & 0xffff)}
		}
		if g.enter(guarded.source) {
			return guarded, nil
		}
		_ = conn.Close()
	}
}

func (g *guard) enter(source string) bool {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.openCount >= mostSilent || g.ofSource > 0 && g.bySource[source] >= g.ofSource {
		return false
	}
	g.openCount++
	g.bySource[source]++
	return true
}

func (g *guard) leave(source string) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.openCount--
	if g.bySource[source]--; g.bySource[source] <= 0 {
		delete(g.bySource, source)
	}
}

type guarded struct {
	net.Conn
	guard  *guard
	remote net.Addr
	source string
	once   sync.Once
}

func (c *guarded) RemoteAddr() net.Addr { return c.remote }

// LocalAddr of a Unix socket is none that the library knows.
func (c *guarded) LocalAddr() net.Addr {
	if address, ok := c.Conn.LocalAddr().(*net.TCPAddr); ok {
		return address
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}
}

func (c *guarded) Read(into []byte) (int, error) {
	patience := timeToAsk
	if c.guard.users.isInUse(c.remote) {
		patience = timeToBeIdle
	}
	if err := c.Conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(into)
}

func (c *guarded) Write(content []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(timeToTake)); err != nil {
		return 0, err
	}
	return c.Conn.Write(content)
}

func (c *guarded) Close() error {
	c.once.Do(func() { c.guard.leave(c.source) })
	return c.Conn.Close()
}
