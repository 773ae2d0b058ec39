package main

import (
	"fmt"
	"net"
	"testing"
	"time"
)

func at(port int) net.Addr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: port} }

func TestAUserHasSoManyAllocationsHoweverManyCredentialsHeAsksFor(t *testing.T) {
	users := newCredentials("secret")
	for number := range mostOfUser {
		name := fmt.Sprintf("%d:ada", 1000+number)
		if !users.mayHaveOneMore(name, realm, at(number)) {
			t.Fatalf("refused after %d", number)
		}
		users.created(at(number), nil, "UDP", name, realm, nil, 0)
	}
	if users.mayHaveOneMore("9999:ada", realm, at(9999)) {
		t.Error("a fresh credential got one more")
	}
	if !users.mayHaveOneMore("9999:bob", realm, at(9999)) {
		t.Error("another user was refused")
	}
	users.deleted(at(3), nil, "UDP", "1003:ada", realm)
	if !users.mayHaveOneMore("9999:ada", realm, at(9999)) {
		t.Error("what was given back was not counted")
	}
}

func TestNothingIsRememberedOfWhoHasNoAllocation(t *testing.T) {
	users := newCredentials("secret")
	users.created(at(1), nil, "UDP", "1000:ada", realm, nil, 0)
	users.deleted(at(1), nil, "UDP", "1000:ada", realm)
	if len(users.live) != 0 || len(users.count) != 0 {
		t.Errorf("left: %v, %v", users.live, users.count)
	}
}

func TestACredentialThatIsOverCountsForItsOwnAllocationAlone(t *testing.T) {
	users, over := newCredentials("secret"), "1000:ada"
	users.created(at(1), nil, "UDP", over, realm, nil, 0)
	if _, ok := users.key(over, realm, at(1)); !ok {
		t.Error("a call ended with its credential")
	}
	if _, ok := users.key(over, realm, at(2)); ok {
		t.Error("somebody else used it")
	}
	if _, ok := users.key("1001:ada", realm, at(1)); ok {
		t.Error("another credential of before was taken")
	}
}

func TestACredentialIsFreshUntilItsSecond(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, fresh := range map[string]bool{
		"1001:ada": true, "1000:ada": false, "999:ada": false, "ada": false, "": false, ":ada": false, "x:ada": false,
		"99999999999999999999:ada": false,
	} {
		if isFresh(name, now) != fresh {
			t.Errorf("%q: fresh is %v", name, !fresh)
		}
	}
}
