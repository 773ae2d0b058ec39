// Participants without a browser, who talk in rooms of a media server: each sends a voice, and a picture of so many
// kbit/s, and counts what it receives. One line of JSON when all are in, and one at the end.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	protocol "github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const (
	voice   = 20 * time.Millisecond
	picture = 40 * time.Millisecond
)

type heard struct{ packets, lost atomic.Int64 }

func main() {
	address := flag.String("url", "http://127.0.0.1:7880", "of the media server")
	rooms := flag.Int("rooms", 1, "how many")
	size := flag.Int("size", 2, "participants of each")
	video := flag.Int("video", 0, "kbit/s of each one's picture, 0 for none")
	seconds := flag.Int("seconds", 20, "after all are in")
	flag.Parse()
	logger.InitFromConfig(&logger.Config{Level: "error"}, "load")
	key, secret := os.Getenv("LOAD_KEY"), os.Getenv("LOAD_SECRET")
	service := lksdk.NewRoomServiceClient(*address, key, secret)
	var all heard
	var joined []*lksdk.Room
	for room := range *rooms {
		name := fmt.Sprintf("load/%d-%d", os.Getpid(), room)
		if _, err := service.CreateRoom(context.Background(), &protocol.CreateRoomRequest{Name: name}); err != nil {
			log.Fatal(err)
		}
		for number := range *size {
			who := lksdk.ConnectInfo{APIKey: key, APISecret: secret, RoomName: name, ParticipantIdentity: fmt.Sprint(number)}
			in, err := lksdk.ConnectToRoom(*address, who, all.listener())
			if err != nil {
				log.Fatal(err)
			}
			joined = append(joined, in)
			send(in, webrtc.MimeTypeOpus, 48000, protocol.TrackSource_MICROPHONE, voice, 80)
			if *video > 0 {
				each := *video * 1000 / 8 * int(picture) / int(time.Second)
				send(in, webrtc.MimeTypeVP8, 90000, protocol.TrackSource_CAMERA, picture, each)
			}
		}
	}
	time.Sleep(3 * time.Second) // bandwidth is found, keys are agreed
	say(map[string]int64{"participants": int64(len(joined))})
	packets, lost := all.packets.Load(), all.lost.Load()
	time.Sleep(time.Duration(*seconds) * time.Second)
	say(map[string]int64{"packets": all.packets.Load() - packets, "lost": all.lost.Load() - lost})
	for _, in := range joined {
		in.Disconnect()
	}
}

func (h *heard) listener() *lksdk.RoomCallback {
	told := lksdk.NewRoomCallback()
	told.OnTrackSubscribed = func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		var last uint16
		for first := true; ; first = false {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			h.packets.Add(1)
			// One that comes late was counted as lost when the next one came: it is taken back.
			switch step := int16(packet.SequenceNumber - last); {
			case first || step > 0:
				if !first {
					h.lost.Add(int64(step) - 1)
				}
				last = packet.SequenceNumber
			case step < 0:
				h.lost.Add(-1)
			}
		}
	}
	return told
}

func send(in *lksdk.Room, mime string, clock uint32, source protocol.TrackSource, every time.Duration, size int) {
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: mime, ClockRate: clock})
	if err != nil {
		log.Fatal(err)
	}
	options := &lksdk.TrackPublicationOptions{Source: source, VideoWidth: 640, VideoHeight: 360}
	if _, err := in.LocalParticipant.PublishTrack(track, options); err != nil {
		log.Fatal(err)
	}
	content := make([]byte, size)
	content[0] = 0x78 // opus: one frame of 20 ms
	if mime == webrtc.MimeTypeVP8 {
		content = append([]byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 2, 0x68, 1}, content[10:]...) // a key frame, 640 × 360
	}
	go func() {
		for range time.Tick(every) {
			_ = track.WriteSample(media.Sample{Data: content, Duration: every}, nil)
		}
	}()
}

func say(what map[string]int64) {
	if err := json.NewEncoder(os.Stdout).Encode(what); err != nil {
		log.Fatal(err)
	}
}
