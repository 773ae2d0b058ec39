// A device plugin for /dev/net/tun: it offers the kubelet COUNT devices under a resource's name, each of which is the
// node's one tun device. For nodes whose container runtime does not hand it out by hostPath; here, for the tests.
//
//	deviceplugin RESOURCE COUNT
//
// Registers with the kubelet of this machine, serves until SIGTERM, and takes its socket away. A kubelet that restarts
// removes the sockets of its plugins and has to be registered with again: then this process ends, to be started anew.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const device = "/dev/net/tun"

type plugin struct {
	api.UnimplementedDevicePluginServer
	devices []*api.Device
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

// ListAndWatch tells the devices once: a tun device does not get ill.
func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	if err := stream.Send(&api.ListAndWatchResponse{Devices: p.devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate gives each container the device, whichever of its names it asked for.
func (p *plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for range request.ContainerRequests {
		spec := &api.DeviceSpec{ContainerPath: device, HostPath: device, Permissions: "rw"}
		response.ContainerResponses = append(
			response.ContainerResponses, &api.ContainerAllocateResponse{Devices: []*api.DeviceSpec{spec}})
	}
	return response, nil
}

func register(resource, socket string) error {
	connection, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: filepath.Base(socket), ResourceName: resource}
	_, err = api.NewRegistrationClient(connection).Register(within, request)
	return err
}

func run(resource string, count int) error {
	socket := filepath.Join(api.DevicePluginPath, "mcs-tun.sock")
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	devices := &plugin{}
	for number := range count {
		devices.devices = append(devices.devices, &api.Device{ID: fmt.Sprintf("tun-%d", number), Health: api.Healthy})
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, devices)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if err := register(resource, socket); err != nil {
		return err
	}
	log.Printf("%s: %d times %s", resource, count, device)
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	for {
		select {
		case err := <-ended:
			return err
		case <-stop.Done():
			server.Stop()
			return nil
		case <-time.After(time.Second):
			if _, err := os.Stat(socket); err != nil {
				return fmt.Errorf("the kubelet was restarted: %w", err)
			}
		}
	}
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: deviceplugin RESOURCE COUNT")
	}
	count, err := strconv.Atoi(os.Args[2])
	if err != nil || count < 1 {
		log.Fatalf("%q is no number of devices", os.Args[2])
	}
	if err := run(os.Args[1], count); err != nil {
		log.Fatal(err)
	}
}
