// A TURN server in front of one media server. Whatever a browser asks for, its packets go to the media port of this pod
// and nowhere else: not to a customer's TVox, not into the cluster. It knows no customers; the gate mints credentials.
//
// It listens at the pod's address (UDP and TCP) and on a Unix socket, where HAProxy hands over what came by TLS on 443.
package main

import (
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v4"
)

const (
	realm        = "mcs"
	timeToAsk    = 15 * time.Second // until a connection has an allocation
	timeToBeIdle = 11 * time.Minute // of one that has: longer than an allocation's lifetime of ten minutes
	timeToTake   = 10 * time.Second // what is written; who does not read must not hold a thread
	mostSilent   = 2000             // TCP connections in all; HAProxy counts those by TLS itself
	mostOfSource = 200              // of these from one address, behind which an office may be
	mostSockets  = 4000             // relayed addresses, two or three per participant
	mostOfUser   = 48               // of these by one user: two devices, each twice while its network changes, with 12
	mostPublics  = 16
)

func main() {
	log.SetFlags(0)
	settings, err := fromEnvironment(os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	if err := serve(settings); err != nil {
		log.Fatal(err)
	}
}

func serve(s settings) error {
	address := net.JoinHostPort(s.pod.String(), strconv.Itoa(s.turnPort))
	datagrams, err := net.ListenPacket("udp4", address)
	if err != nil {
		return err
	}
	streams, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	path := filepath.Join(s.runDir, "relay.sock")
	_ = os.Remove(path) // of a relay that was killed
	handedOver, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	known := &peers{local: &net.UDPAddr{IP: s.pod, Port: s.mediaPort}}
	go known.follow(filepath.Join(s.runDir, "set.json"))
	users := newCredentials(s.secret)
	sockets := &generator{peers: known}
	server, err := turn.NewServer(turn.ServerConfig{
		Realm:         realm,
		AuthHandler:   users.key,
		QuotaHandler:  users.mayHaveOneMore,
		EventHandler:  turn.EventHandler{OnAllocationCreated: users.created, OnAllocationDeleted: users.deleted},
		LoggerFactory: quiet(),
		PacketConnConfigs: []turn.PacketConnConfig{
			{PacketConn: datagrams, RelayAddressGenerator: sockets, PermissionHandler: known.permitted},
		},
		ListenerConfigs: []turn.ListenerConfig{
			{Listener: newGuard(streams, users, mostOfSource), RelayAddressGenerator: sockets, PermissionHandler: known.permitted},
			{Listener: newGuard(handedOver, users, 0), RelayAddressGenerator: sockets, PermissionHandler: known.permitted},
		},
	})
	if err != nil {
		return err
	}
	log.Printf("relay: %s and TLS by HAProxy, to %s", address, known.local)
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	<-told
	return server.Close()
}

// What strangers send wrongly is no news: a log of it would be theirs to fill.
func quiet() logging.LoggerFactory {
	factory := logging.NewDefaultLoggerFactory()
	factory.DefaultLogLevel = logging.LogLevelDisabled
	factory.ScopeLevels = map[string]logging.LogLevel{}
	return factory
}
