package main

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what TURN's REST credentials are made with
	"encoding/base64"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/turn/v4"
)

// credentials that the gate mints: a user name "<when it expires>:<whose it is>", and a password that follows from the
// secret.
//
// The time counts for a new allocation only. The library asks again with each refresh and permission: without `live` a
// relayed call would end when its credential does. Allocations are counted by whose they are: the gate gives a browser a
// fresh credential whenever it asks.
type credentials struct {
	secret string

	lock  sync.Mutex
	live  map[string]string // source -> user name of its allocation
	count map[string]int    // whose they are -> allocations
}

func newCredentials(secret string) *credentials {
	return &credentials{secret: secret, live: map[string]string{}, count: map[string]int{}}
}

func (c *credentials) key(username, _ string, source net.Addr) ([]byte, bool) {
	if len(username) > 128 || !(c.has(source, username) || isFresh(username, time.Now())) {
		return nil, false
	}
	return turn.GenerateAuthKey(username, realm, c.password(username)), true
}

func (c *credentials) password(username string) string {
	mac := hmac.New(sha1.New, []byte(c.secret))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func isFresh(username string, now time.Time) bool {
	expires, _, found := strings.Cut(username, ":")
	second, err := strconv.ParseInt(expires, 10, 64)
	return found && err == nil && now.Unix() < second
}

func ownerOf(username string) string {
	_, owner, _ := strings.Cut(username, ":")
	return owner
}

func (c *credentials) has(source net.Addr, username string) bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	return username != "" && c.live[nameOf(source)] == username
}

// isInUse tells whether this source has an allocation.
func (c *credentials) isInUse(source net.Addr) bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.live[nameOf(source)] != ""
}

func (c *credentials) mayHaveOneMore(username, _ string, _ net.Addr) bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.count[ownerOf(username)] < mostOfUser
}

func (c *credentials) created(source, _ net.Addr, _, username, _ string, _ net.Addr, _ int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.live[nameOf(source)] = username
	c.count[ownerOf(username)]++
}

func (c *credentials) deleted(source, _ net.Addr, _, username, _ string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	delete(c.live, nameOf(source))
	owner := ownerOf(username)
	if c.count[owner]--; c.count[owner] <= 0 {
		delete(c.count, owner)
	}
}

func nameOf(address net.Addr) string { return address.Network() + " " + address.String() }
