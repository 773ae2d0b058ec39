package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const largestSet = 16 << 20

// The one peer: the media server, which browsers name by the pod's address or by the instance's public one. An address
// that was public stays known, or a call that was made with it would end when the address changes.
type peers struct {
	local *net.UDPAddr

	lock    sync.RWMutex
	publics []net.IP
}

func (p *peers) isMedia(ip net.IP) bool {
	p.lock.RLock()
	defer p.lock.RUnlock()
	for _, public := range p.publics {
		if public.Equal(ip) {
			return true
		}
	}
	return p.local.IP.Equal(ip)
}

func (p *peers) permitted(_ net.Addr, ip net.IP) bool { return p.isMedia(ip) }

func (p *peers) learn(public net.IP) {
	if public == nil || p.isMedia(public) {
		return
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.publics = append(p.publics, public)
	if len(p.publics) > mostPublics {
		p.publics = p.publics[1:]
	}
}

// follow looks at the set four times a second; what cannot be read changes nothing.
func (p *peers) follow(path string) {
	var last [3]int64
	for ; ; time.Sleep(250 * time.Millisecond) {
		now, err := version(path)
		if err != nil || now == last {
			continue
		}
		last = now
		public, err := publicAddress(path)
		if err != nil {
			log.Printf("relay: set.json: %v", err)
			continue
		}
		p.learn(public)
	}
}

func version(path string) ([3]int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return [3]int64{}, err
	}
	inode := int64(0)
	if system, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = int64(system.Ino)
	}
	return [3]int64{info.ModTime().UnixNano(), info.Size(), inode}, nil
}

func publicAddress(path string) (net.IP, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, largestSet+1))
	if err != nil || len(content) > largestSet {
		return nil, errors.Join(err, errors.New("it cannot be read whole"))
	}
	var set struct {
		Instance struct {
			PublicAddress string `json:"publicAddress"`
		} `json:"instance"`
	}
	if err := json.Unmarshal(content, &set); err != nil {
		return nil, errors.New("it is not what is expected")
	}
	return net.ParseIP(set.Instance.PublicAddress).To4(), nil
}

// generator makes the relayed addresses.
type generator struct {
	peers *peers
	open  atomic.Int64
}

func (g *generator) Validate() error { return nil }

func (g *generator) AllocatePacketConn(_ string, port int) (net.PacketConn, net.Addr, error) {
	if g.open.Add(1) > mostSockets {
		g.open.Add(-1)
		return nil, nil, errors.New("no relayed address is left")
	}
	conn, err := net.ListenPacket("udp4", net.JoinHostPort(g.peers.local.IP.String(), strconv.Itoa(port)))
	if err != nil {
		g.open.Add(-1)
		return nil, nil, err
	}
	only := &onlyMedia{PacketConn: conn, peers: g.peers, closed: func() { g.open.Add(-1) }}
	only.named.Store(g.peers.local)
	return only, conn.LocalAddr(), nil
}

func (g *generator) AllocateConn(string, int) (net.Conn, net.Addr, error) {
	return nil, nil, errors.New("no TCP to peers")
}

// onlyMedia is a relayed address that talks to the media server alone. What the browser calls by the public address goes
// to the pod's own, so that no router has to send it back in; answers come from the address that the browser named.
type onlyMedia struct {
	net.PacketConn
	peers  *peers
	named  atomic.Pointer[net.UDPAddr]
	once   sync.Once
	closed func()
}

func (c *onlyMedia) WriteTo(packet []byte, to net.Addr) (int, error) {
	peer, ok := to.(*net.UDPAddr)
	if !ok || peer.Port != c.peers.local.Port || !c.peers.isMedia(peer.IP) {
		return len(packet), nil // as if it were lost
	}
	if last := c.named.Load(); !last.IP.Equal(peer.IP) {
		c.named.Store(&net.UDPAddr{IP: peer.IP, Port: peer.Port})
	}
	return c.PacketConn.WriteTo(packet, c.peers.local)
}

func (c *onlyMedia) ReadFrom(packet []byte) (int, net.Addr, error) {
	for {
		size, from, err := c.PacketConn.ReadFrom(packet)
		if err != nil {
			return size, from, err
		}
		if peer, ok := from.(*net.UDPAddr); ok && peer.Port == c.peers.local.Port && peer.IP.Equal(c.peers.local.IP) {
			return size, c.named.Load(), nil
		}
	}
}

func (c *onlyMedia) Close() error {
	c.once.Do(c.closed)
	return c.PacketConn.Close()
}
