package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

type settings struct {
	runDir, secret      string
	pod                 net.IP
	turnPort, mediaPort int
}

func fromEnvironment(get func(string) string) (settings, error) {
	s := settings{runDir: get("MCS_RUN_DIR"), secret: get("MCS_TURN_SECRET"), pod: net.ParseIP(get("MCS_POD_ADDRESS")).To4()}
	if s.runDir == "" || s.secret == "" || s.pod == nil {
		return s, errors.New("relay: MCS_RUN_DIR, MCS_TURN_SECRET and MCS_POD_ADDRESS (IPv4) are needed")
	}
	for name, port := range map[string]*int{"MCS_TURN_PORT": &s.turnPort, "MCS_MEDIA_PORT": &s.mediaPort} {
		number, err := strconv.ParseUint(get(name), 10, 16)
		if err != nil || number == 0 {
			return s, fmt.Errorf("relay: %s is no port", name)
		}
		*port = int(number)
	}
	return s, nil
}
